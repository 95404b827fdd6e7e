"""Reading the ledger: what every shard of work cost."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from harness.core.records import LedgerRow
from harness.storage.arrow import SCHEMAS
from harness.storage.shards import in_columns, read_shard

#: Devices of the ledger that are no GPU: no model ran, or it ran on a CPU.
_NO_GPU = ("", "cpu")


def read_ledger(path: Path) -> pa.Table:
    """The rows of a ledger's file, in the columns of :class:`~harness.core.records.LedgerRow`.

    A file may be older than the column ``gpus``. Its rows held no GPU where no model ran or it ran on a CPU. How many
    the others held is unknown.

    Raises:
        UserError: naming the file, where it is none of a ledger.
    """
    table, schema = read_shard(path), SCHEMAS[LedgerRow]
    with in_columns(path):
        if "gpus" not in table.column_names:
            devices = table.column("device").to_pylist()
            gpus = [0.0 if device in _NO_GPU else None for device in devices]
            table = table.append_column("gpus", pa.array(gpus, pa.float64()))
        return table.select(schema.names).cast(schema)
