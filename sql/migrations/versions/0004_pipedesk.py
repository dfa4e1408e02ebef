"""PipeDesk's own tables: push channels, templates of folders, archives. Written as SQL that psql can run.

``0004_pipedesk_down.sql`` refuses while a table holds rows, unless the setting ``warehouse.force_down`` is on.
"""

from pathlib import Path

from warehouse_pipelines.schema import scripts

revision = "0004_pipedesk"
down_revision = "0003_crm"


def upgrade() -> None:
    """Create them, beside what the sources fill."""
    scripts.run_file(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Remove them; what the sources fill stays."""
    scripts.run_file(Path(__file__).with_name("0004_pipedesk_down.sql"))
