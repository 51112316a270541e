// swift-tools-version: 6.0
import PackageDescription

// The targets in their total order: each imports only what stands above it in this list
// (scripts/check-layers holds the imports against it).
let package = Package(
  name: "martlet",
  targets: [
    .target(name: "MartletKernels"),
    .target(name: "MartletPlatform"),
    .target(name: "MartletCore", dependencies: ["MartletPlatform"]),
    .target(
      name: "MartletBackends", dependencies: ["MartletKernels", "MartletPlatform", "MartletCore"]),
    .target(name: "MartletOperators", dependencies: ["MartletBackends"]),
    .testTarget(name: "MartletCoreTests", dependencies: ["MartletCore"]),
  ]
)
