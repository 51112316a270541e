// swift-tools-version: 6.0
import PackageDescription

// The targets in their total order: each imports only what stands above it in this list
// (scripts/check-layers holds the imports against it).
let package = Package(
  name: "martlet",
  products: [
    .library(name: "Martlet", targets: ["Martlet"]),
    .library(name: "martlet", type: .dynamic, targets: ["MartletC"]),
    .executable(name: "martlet-cli", targets: ["martlet-cli"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: [
    .target(name: "MartletKernels"),
    .target(name: "MartletPlatform"),
    .target(name: "MartletCore", dependencies: ["MartletPlatform"]),
    .target(name: "MartletBackends", dependencies: ["MartletKernels", "MartletCore"]),
    .target(name: "MartletOperators", dependencies: ["MartletBackends"]),
    .target(name: "MartletGraph", dependencies: ["MartletOperators"]),
    .target(name: "MartletImport", dependencies: ["MartletGraph"]),
    .systemLibrary(name: "CMartlet", path: "include"),
    .target(name: "MartletC", dependencies: ["MartletImport", "CMartlet"]),
    .target(name: "Martlet", dependencies: ["MartletImport"]),
    .executableTarget(
      name: "martlet-cli",
      dependencies: [
        "Martlet",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
  ]
)
