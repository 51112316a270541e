// swift-tools-version: 6.0
import PackageDescription

// The targets in their total order: each imports only what stands above it in this list
// (scripts/check-layers holds the imports against it).
let package = Package(
  name: "martlet",
  products: [
    .library(name: "Martlet", targets: ["Martlet"]),
    // The C library; scripts/build-library has the flags that it is shipped with.
    .library(name: "martlet", type: .dynamic, targets: ["MartletC"]),
  ],
  targets: [
    .target(name: "MartletKernels", exclude: ["isas.inc"]),
    .target(name: "MartletPlatform"),
    .target(name: "MartletCore", dependencies: ["MartletKernels", "MartletPlatform"]),
    .target(
      name: "MartletBackends", dependencies: ["MartletKernels", "MartletPlatform", "MartletCore"]),
    .target(name: "MartletOperators", dependencies: ["MartletBackends"]),
    .target(name: "MartletGraph", dependencies: ["MartletOperators"]),
    .target(name: "MartletImport", dependencies: ["MartletGraph", "MartletPlatform"]),
    .target(name: "MartletRuntime", dependencies: ["MartletImport"]),
    .systemLibrary(name: "CMartlet", path: "include"),
    .target(name: "MartletC", dependencies: ["CMartlet", "MartletRuntime", "MartletPlatform"]),
    .target(name: "Martlet", dependencies: ["MartletRuntime"]),
    // Not a suite: small ONNX models for the suites above the importers.
    .target(
      name: "ONNXFixtures", dependencies: ["MartletRuntime"], path: "Tests/ONNXFixtures"),
    // Not a suite: the kernels of 64-byte vectors, compiled for processors without AVX-512.
    .target(
      name: "MartletKernelsWide", dependencies: ["MartletKernels"],
      path: "Tests/MartletKernelsWide"),
    .testTarget(
      name: "MartletKernelsTests", dependencies: ["MartletKernels", "MartletKernelsWide"]),
    .testTarget(name: "MartletCoreTests", dependencies: ["MartletCore"]),
    .testTarget(
      name: "MartletBackendsTests",
      dependencies: ["MartletBackends", "MartletKernels", "MartletKernelsWide"]),
    .testTarget(name: "MartletOperatorsTests", dependencies: ["MartletOperators"]),
    .testTarget(name: "MartletGraphTests", dependencies: ["MartletGraph"]),
    .testTarget(name: "MartletImportTests", dependencies: ["MartletRuntime", "ONNXFixtures"]),
    .testTarget(name: "MartletRuntimeTests", dependencies: ["MartletRuntime", "ONNXFixtures"]),
    .testTarget(name: "ONNXNodeTests", dependencies: ["MartletRuntime"]),
    .testTarget(name: "MartletTests", dependencies: ["Martlet"]),
  ]
)

// What tests compute is in library code, and in two suites their own: scripts/test has those optimised,
// with all checks of a debug build, and the rest compiled as fast as may be.
let optimized: Set = [
  "MartletCore", "MartletBackends", "MartletOperators", "MartletGraph", "MartletImport",
  "MartletRuntime", "Martlet", "MartletKernelsTests", "MartletBackendsTests",
]
if Context.environment["MARTLET_OPTIMIZED_TESTS"] != nil {
  for target in package.targets where optimized.contains(target.name) {
    target.swiftSettings = [.unsafeFlags(["-O", "-assert-config", "Debug"])]
  }
}

// What is shipped imports no more than it names: without these implicit imports 1.4 MB of regular
// expressions and tasks stay out, and a build fails where library code uses either.
if Context.environment["MARTLET_SHIPPED"] != nil {
  let flags = ["string-processing", "concurrency"].flatMap {
    ["-Xfrontend", "-disable-implicit-\($0)-module-import"]
  }
  let plain: Set = ["MartletKernels", "MartletPlatform", "MartletKernelsWide"]
  for target in package.targets where target.type == .regular && !plain.contains(target.name) {
    target.swiftSettings = [.unsafeFlags(flags)]
  }
}

// Kernels of AVX-512 that run in AVX2 (scripts/build-library --software-bf16).
if Context.environment["MARTLET_SOFTWARE_AVX512"] != nil {
  package.targets[0].cSettings = [.define("MK_SOFTWARE_AVX512")]
}

// The command, which alone depends on something outside this package: a build that sets
// MARTLET_LIBRARY_ONLY, as scripts/build-library does for the library, fetches nothing.
if Context.environment["MARTLET_LIBRARY_ONLY"] == nil {
  package.dependencies.append(
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"))
  package.targets += [
    .executableTarget(
      name: "martlet-cli",
      dependencies: [
        "MartletRuntime", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .testTarget(
      name: "MartletCLITests", dependencies: ["martlet-cli", "MartletRuntime", "ONNXFixtures"]),
  ]
}
