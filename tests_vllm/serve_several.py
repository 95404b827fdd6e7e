"""Several of vLLM's servers, one command line each, from one process that imports vLLM once.

python serve_several.py '[["--model", "a", "--port", "1"], ["--model", "b", "--port", "2"]]'
"""

from __future__ import annotations

import json
import os
import signal
import sys

# The processes of the engines too: each would take as long to import vLLM as to do everything else.
os.environ["VLLM_WORKER_MULTIPROCESSING_METHOD"] = "fork"


def serve(command_lines: list[list[str]]) -> None:
    import vllm.model_executor.models.llama
    import vllm.v1.engine.core
    import vllm.v1.worker.cpu_worker  # noqa: F401
    from vllm.entrypoints.launchers.api_server.entry import main

    children = []
    for words in command_lines:
        child = os.fork()
        if child == 0:
            sys.argv = ["serve", *words]
            main()
            os._exit(0)
        children.append(child)

    def stop(*_: object) -> None:
        for child in children:
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
