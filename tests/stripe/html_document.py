"""A strict parser for the pages of the simulator: elements must be closed in order, and ids must be unique."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"input", "link", "meta"}


@dataclass
class Element:
    """An element with its attributes, children and texts."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Element | str"] = field(default_factory=list)

    def all(self, name: str, /, **attributes: str) -> Iterator["Element"]:
        """Yield the elements of a name below this one, in order, that have the attributes."""
        required = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
        for child in self.children:
            if isinstance(child, Element):
                if child.name == name and required.items() <= child.attributes.items():
                    yield child
                yield from child.all(name, **attributes)

    def one(self, name: str, /, **attributes: str) -> "Element":
        """Return the only such element."""
        (element,) = self.all(name, **attributes)
        return element

    @property
    def text(self) -> str:
        """The text of the element."""
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


class Parser(HTMLParser):
    """Builds the tree."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("")
        self._open = [self.root]
        self._ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute of <{tag}> is repeated"
        element = Element(tag, {name: value or "" for name, value in attrs})
        id = element.attributes.get("id")
        assert id is None or id not in self._ids, f"the id {id} is repeated"
        self._ids |= {id} if id else set()
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].name == tag, f"</{tag}> closes <{self._open[-1].name}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def parse(text: str) -> Element:
    """Return the root of a document. Raises AssertionError if it is not well formed."""
    parser = Parser()
    parser.feed(text)
    parser.close()
    assert len(parser._open) == 1, f"<{parser._open[-1].name}> is not closed"
    return parser.root
