"""`tidegauge-worker`: what Flink starts on each task manager where `stream.flink.environment` is `process`.

It takes the flags of Beam's own boot program and needs none of its containers: the worker is this installation.
"""

import argparse


def main() -> None:
    """Works until the runner closes the control channel."""
    parser = argparse.ArgumentParser(prog="tidegauge-worker", description="A Python worker of a Beam runner.")
    parser.add_argument("--id", required=True)
    parser.add_argument(
        "--provision_endpoint", required=True, metavar="HOST:PORT", help="says where everything else is"
    )
    args, _ = parser.parse_known_args()

    from apache_beam.runners.worker.sdk_worker import SdkHarness

    control = control_endpoint(args.provision_endpoint, args.id)
    SdkHarness(control, worker_id=args.id, state_cache_size=0, data_buffer_time_limit_ms=-1).run()


def control_endpoint(provision_endpoint: str, worker: str) -> str:
    """HOST:PORT of the control service, as the runner's provision service says it (Beam's Fn API)."""
    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
    from apache_beam.runners.worker.worker_id_interceptor import WorkerIdInterceptor

    with grpc.insecure_channel(provision_endpoint) as channel:
        known = grpc.intercept_channel(channel, WorkerIdInterceptor(worker))
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(known)
        answer = service.GetProvisionInfo(
            beam_provision_api_pb2.GetProvisionInfoRequest(), wait_for_ready=True, timeout=60
        )
    return str(answer.info.control_endpoint.url)
