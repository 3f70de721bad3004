"""Engines inside container images: docker, podman, apptainer.

``image`` finds an image on this machine and asks what it holds; ``running`` makes the command line
of one container, and the commands that end it whatever became of the client that started it.

Flags and formats are those of the runtimes' own documents:

- https://docs.docker.com/reference/cli/docker/container/run/ (tried with the client of 28.2),
  GPUs: https://docs.docker.com/config/containers/resource_constraints/#gpu
- https://docs.podman.io/en/latest/markdown/podman-run.1.html, GPUs by the Container Device
  Interface: https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html
- https://apptainer.org/docs/user/latest/ (environment, bind paths and mounts, GPU support)
- AMD GPUs: https://rocm.docs.amd.com/projects/install-on-linux/en/latest/how-to/docker.html
"""
