"""Every attack of the suite."""

from tests.hostile.attacks import files, forgery, kernel, network, processes, resources

ATTACKS = (
    *files.ATTACKS,
    *network.ATTACKS,
    *processes.ATTACKS,
    *kernel.ATTACKS,
    *resources.ATTACKS,
    *forgery.ATTACKS,
)
