"""Load VGG16's pretrained weights from another address, under another MD5, and print their digest: URL MD5."""

import sys

from amaxds.compute import pretrained
from amaxds.compute.networks import load_weights
from amaxds.spec import network

pretrained.VGG16_URL, pretrained.VGG16_MD5 = sys.argv[1:]
print(load_weights(network.VGG16, "pretrained", 0).digest)
