"""`tidegauge-worker`: what Flink starts on each task manager where `stream.flink.environment` is `process`.

It takes the flags of Beam's own boot program and needs none of its containers: the worker is this installation.
"""

import argparse


def main() -> None:
    """Works until the runner closes the control channel."""
    parser = argparse.ArgumentParser(prog="tidegauge-worker", description="A Python worker of a Beam runner.")
    parser.add_argument("--id", required=True)
    parser.add_argument("--control_endpoint", required=True, metavar="HOST:PORT")
    for unused in ("logging", "artifact", "provision"):
        parser.add_argument(f"--{unused}_endpoint", metavar="HOST:PORT", help="not used")
    args = parser.parse_args()

    from apache_beam.runners.worker.sdk_worker import SdkHarness

    SdkHarness(args.control_endpoint, worker_id=args.id, state_cache_size=0, data_buffer_time_limit_ms=-1).run()
