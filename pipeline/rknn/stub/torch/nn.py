"""For isinstance and as a base class."""


class Module:
    """Base of networks."""
