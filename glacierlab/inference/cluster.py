"""The `dask.distributed` cluster that is in use, if any."""

import sys

import dask

DISTRIBUTED = (None, "distributed", "dask.distributed")  # settings of dask under which a Client computes


def cluster():
    """The Client that computes by default, None where this process does."""
    if "distributed" not in sys.modules or dask.config.get("scheduler", None) not in DISTRIBUTED:
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None


def gpu_units():
    """What a task that runs a model takes of the workers' resources: a GPU where one is declared."""
    client = cluster()
    if client is None:
        return {}
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return {"GPU": 1} if any("GPU" in worker["resources"] for worker in workers) else {}
