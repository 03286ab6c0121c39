"""Why a mesh or file cannot be used: the exception and its closed list of reasons."""

REASONS = {
    "missing": "no such file, or a file it refers to is not there",
    "unreadable": "the file breaks the rules of its format, or may not be read",
    "truncated": "the file ends before what it announces",
    "unsupported-format": "a format, or a variant of one, that no reader here knows",
    "compressed-unsupported": "the geometry is compressed by a scheme that no reader here knows",
    "not-a-mesh": "the name says mesh, the content is something else (a Git LFS pointer, a page)",
    "empty": "the file holds nothing, or a scene without any geometry",
    "no-faces": "points or lines, but no polygon",
    "non-finite": "a vertex that a face uses, or a transform, is not a finite number",
    "index-out-of-range": "a face names a vertex that is not there",
    "too-large": "it asks for more memory than any mesh here may take",
    "zero-extent": "all vertices coincide",
    "zero-area": "every face has no area",
    "skinned": "bones move the mesh in a way that no reader here can follow",
    "missing-package": "reading it needs a package that is not installed",
}
"""What load_mesh can say, and what it means. Stages after loading add reasons of their own."""


class MeshError(ValueError):
    """A mesh or file that cannot be used. `reason` is a short stable code for the ledger."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.reason, self.message)
