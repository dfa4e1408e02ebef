"""Every CRM in one warehouse; ``dlt_source`` gives a CRM to any pipeline of dlt's, and is imported when it is named."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warehouse_pipelines.dlt_sources import dlt_source

__all__ = ["dlt_source"]


def __getattr__(name: str) -> Any:
    """Return what is exported; the package itself costs nothing to import."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from warehouse_pipelines import dlt_sources

    return getattr(dlt_sources, name)
