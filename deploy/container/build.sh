#!/bin/sh
# The image for several machines, reproducible in what it stands on: the base is pinned by its digest, and a list of what is
# inside (SBOM, CycloneDX) is written beside it. Needs buildah, skopeo, and qemu-user-static for foreign machines.
#
#   deploy/container/build.sh registry.example.net/vmguest-exporter:1.2.3 [linux/amd64,linux/arm64]
#
# The base is the Dockerfile's. BASE names another one; without a digest its present one is looked up and printed, so that the
# Dockerfile or the next build can give it.
set -eu
cd "$(dirname "$0")/../.."
image=${1:?usage: build.sh IMAGE [PLATFORMS]}
platforms=${2:-linux/amd64,linux/arm64}
base=${BASE:-$(sed -n 's/^ARG BASE=//p' Dockerfile)}

case $base in
*@sha256:*) ;;
*)
    # Of the index, not of one machine's image: it holds for all platforms.
    digest=$(skopeo inspect --raw "docker://$base" | sha256sum | cut -d ' ' -f 1)
    base=$base@sha256:$digest
    echo "BASE=$base" >&2
    ;;
esac

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' exporter/__init__.py)
# The time of the commit, not of the build: the same source gives the same image.
created=$(git log -1 --format=%cI)
buildah build --platform "$platforms" --manifest "$image" --timestamp "$(git log -1 --format=%ct)" \
    --build-arg BASE="$base" --build-arg VERSION="$version" \
    --build-arg REVISION="$(git rev-parse HEAD)" --build-arg CREATED="$created" .

mkdir -p build
python3 deploy/container/sbom.py --version "$version" --base "$base" --created "$created" >build/sbom.cdx.json
echo "build/sbom.cdx.json; push with: buildah manifest push --all $image docker://$image" >&2
