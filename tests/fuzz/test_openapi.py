"""Goal: no request that the OpenAPI document allows, or just forbids, meets a 5xx or an answer that it does not name.

Method: schemathesis reads the document of a running ingest and sends it a few thousand requests, from a seed, so that a
failure comes again: values at and just over every bound, missing and wrong fields, other methods, other types. Every
answer is compared with the document: its status, content type, headers and body.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ServiceProcess
from tests.support.stacks import PUBLIC_KEY, SECRET_KEY, RunningStack

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
EXAMPLES, SEED, WITHIN_S = 10, 20261123, 300  # of each operation; about a minute where nothing else runs
#: Of hostile traffic; the interpreter and its libraries are in it.
RSS_KIB_MAX = 256 * 1024


@pytest.mark.parametrize(
    ("key", "phases"), [(SECRET_KEY, "examples,coverage,fuzzing"), (PUBLIC_KEY, "fuzzing")]
)
def test_every_answer_is_one_that_the_document_names(
    stack: RunningStack, logs: Path, tmp_path: Path, key: str, phases: str
) -> None:
    unlimited = {**stack.environment, "SIGNALBOX_RATE_LIMITS_PER_MINUTE": "{}"}
    with ServiceProcess("ingest", unlimited, logs / "ingest-fuzzed.log") as ingest:
        fuzzed = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                "run",
                f"{ingest.url}/openapi.json",
                f"--header=Authorization: Bearer {key}",
                f"--checks={','.join(CHECKS)}",
                f"--phases={phases}",
                f"--max-examples={EXAMPLES}",
                f"--seed={SEED}",
                "--generation-database=none",
                "--no-color",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        status = Path(f"/proc/{ingest.pid}/status").read_text()
    assert fuzzed.returncode == 0, fuzzed.stdout + fuzzed.stderr
    assert int(status.partition("VmHWM:")[2].split()[0]) < RSS_KIB_MAX
    assert "request_failed" not in ingest.log.read_text(), "a defect is logged with its traceback"
