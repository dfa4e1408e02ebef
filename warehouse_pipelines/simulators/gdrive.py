"""Google Drive is one of the APIs of the simulated Google."""

from warehouse_pipelines.simulators.google.simulator import Google

SIMULATOR = Google
