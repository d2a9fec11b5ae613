#!/bin/sh
# Prints the command that builds an image here: the first engine that is installed and answers.
if command -v docker > /dev/null && docker info > /dev/null 2>&1; then
    echo "docker build"
elif command -v podman > /dev/null; then
    echo "podman build"
elif command -v buildah > /dev/null; then
    echo "buildah build"
else
    echo "signalbox: images need docker (running), podman or buildah: none is here" >&2
    exit 1
fi
