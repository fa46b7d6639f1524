"""GET /api/payments/tracks: the tracks for sale, and what a page needs to sell them; public."""

from typing import Any

from tuition.api import Reply, Request, endpoint
from tuition.core import catalog
from tuition.settings import settings
from tuition.views import offers


@endpoint
def handler(_request: Request) -> Reply:
    config = settings()
    body = {
        "tracks": [_track_json(track) for track in catalog.for_sale()],
        "no_longer_sold": [
            {"track": track.track, "title": track.title} for track in catalog.tracks().values() if not track.sold
        ],
        "memberships": [
            {
                "membership": membership.membership,
                "title": membership.title,
                "summary": membership.summary,
                "offers": listed,
            }
            for membership in catalog.memberships().values()
            if membership.sold and (listed := offers.listed(membership))
        ],
        "publishable_key": config.stripe_publishable_key,
        "payment_method_types": list(config.payment_method_types),
        "refund_window_days": config.refund_window_days,
        "consumer_region": config.consumer_region,
        "school_name": config.school_name,
        "school_time_zone": config.school_time_zone,
        "support_contact": config.support_contact or None,
        "terms": {"version": config.terms_version, "url": config.terms_url or None} if config.terms_version else None,
        "privacy_url": config.privacy_url or None,
    }
    return Reply(200, body)


def _track_json(track: catalog.Track) -> dict[str, Any]:
    projects = [
        {"project": p.project, "title": p.title, "steps": [{"step": s.step, "title": s.title} for s in p.steps]}
        for p in track.projects
    ]
    return {
        "track": track.track,
        "title": track.title,
        "amount": track.price.amount,
        "currency": track.price.currency,
        "summary": track.summary,
        "level": track.level,
        "duration": track.duration,
        "outcomes": list(track.outcomes),
        "prerequisites": list(track.prerequisites),
        "questions": [question._asdict() for question in track.questions],
        "projects": projects,
        "offers": offers.listed(track),
    }
