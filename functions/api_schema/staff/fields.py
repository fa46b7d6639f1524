"""Types that several topics of staff share."""

from typing import Annotated, Literal

from api_schema.about import About
from tuition.core import catalog, enrollment
from tuition.views.filters import MAX_CODE_LENGTH

Flag = Literal["true", "false"]
AnyTrack = Annotated[str, About("The code of a track or membership.", enum=list(catalog.codes()), examples=["DP"])]
EnrollmentStatus = enrollment.Status
Code = Annotated[str, About(pattern=f"^[a-z0-9_]{{1,{MAX_CODE_LENGTH}}}$")]
