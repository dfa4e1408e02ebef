"""PipeDesk's own tables: push channels, templates of folders, archives. Written as SQL that psql can run.

``0004_pipedesk_down.sql`` refuses while a table holds rows, unless the setting ``warehouse.force_down`` is on.
"""

from pathlib import Path

from alembic import op

revision = "0004_pipedesk"
down_revision = "0003_crm"


def upgrade() -> None:
    """Create them, beside what the sources fill."""
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Remove them; what the sources fill stays."""
    _run(Path(__file__).with_name("0004_pipedesk_down.sql"))


def _run(part: Path) -> None:
    # Without parameters, so that % means itself.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(part.read_text())
