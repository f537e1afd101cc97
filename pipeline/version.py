"""The version, in one place: the package's metadata, the server's `/api/version` and the manifests read it."""

VERSION = "0.1.0"
