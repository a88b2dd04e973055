"""The convolutions of the sweep: name, and N,C,H,W,F,KH,KW,STRIDE,PADDING,GROUPS."""


def conv(batch, channels, size, filters, window, stride=1, padding=0, groups=1):
    return f"{batch},{channels},{size},{size},{filters},{window},{window},{stride},{padding},{groups}"


GEOMETRIES = {}
for n in (1, 16, 64):
    GEOMETRIES |= {
        f"report 1, batch {n}": conv(n, 1, 28, 8, 5),
        f"report 2, batch {n}": conv(n, 8, 24, 8, 5),
        f"LeNet-5 c1, batch {n}": conv(n, 1, 28, 6, 5, padding=2),
        f"LeNet-5 c3, batch {n}": conv(n, 6, 14, 16, 5),
        f"colour 3 to 16, batch {n}": conv(n, 3, 32, 16, 3, padding=1),
        f"ResNet 16, batch {n}": conv(n, 16, 32, 16, 3, padding=1),
        f"ResNet 16 to 32, stride 2, batch {n}": conv(n, 16, 32, 32, 3, stride=2, padding=1),
        f"ResNet 32, batch {n}": conv(n, 32, 16, 32, 3, padding=1),
        f"ResNet 64, batch {n}": conv(n, 64, 8, 64, 3, padding=1),
        f"shortcut 1x1 16 to 32, stride 2, batch {n}": conv(n, 16, 32, 32, 1, stride=2),
        f"1x1 64 to 64, batch {n}": conv(n, 64, 16, 64, 1),
        f"depthwise 32, batch {n}": conv(n, 32, 16, 32, 3, padding=1, groups=32),
    }
for n in (1, 16):
    GEOMETRIES |= {
        f"VGG 3 to 64, batch {n}": conv(n, 3, 32, 64, 3, padding=1),
        f"VGG 64, batch {n}": conv(n, 64, 32, 64, 3, padding=1),
        f"VGG 128, batch {n}": conv(n, 128, 16, 128, 3, padding=1),
        f"VGG 256, batch {n}": conv(n, 256, 8, 256, 3, padding=1),
        f"7x7 stride 2, 3 to 32, batch {n}": conv(n, 3, 64, 32, 7, stride=2, padding=3),
        f"depthwise 128, stride 2, batch {n}": conv(n, 128, 16, 128, 3, stride=2, padding=1, groups=128),
        f"1x1 256 to 64, batch {n}": conv(n, 256, 8, 64, 1),
        f"2 groups of 32, batch {n}": conv(n, 64, 16, 64, 3, padding=1, groups=2),
    }
DIRECTIONS = ("forward", "data", "weight")
