"""A Ray cluster of two workers and a server that speaks S3, both on the loopback address and for one module."""

import pytest


@pytest.fixture(scope="module")
def s3():
    """The address of a server with an empty bucket ``s3://pairs``, which the environment points to."""
    import fsspec
    from moto.server import ThreadedMotoServer

    with pytest.MonkeyPatch.context() as patch:
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        for name, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            patch.setenv(name, value)
        fsspec.filesystem("s3").mkdir("s3://pairs")
        yield address
        server.stop()


@pytest.fixture(scope="module")
def cluster(s3):
    """A cluster of two workers, which runs in this process's environment."""
    from ttd_jax.distributed.cluster import load_ray, start_here

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_PLATFORMS", "cpu")
        patch.delenv("RAY_ADDRESS", raising=False)
        ray = load_ray()
        start_here(ray, cpus=2)
        yield ray
        ray.shutdown()
