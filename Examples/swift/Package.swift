// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "martlet-example",
  dependencies: [.package(name: "martlet", path: "../..")],
  targets: [
    .executableTarget(
      name: "ReadDigit", dependencies: [.product(name: "Martlet", package: "martlet")])
  ]
)
