import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct PoolsTests {
  private static let dtypes: [DType] = [.float32, .float64, .float16, .bfloat16, .uint8, .int8]

  @Test("takes the maximum of each window", arguments: dtypes) func maximum(dtype: DType) throws {
    let image = try iota([1, 1, 4, 4], dtype)
    let result = try run(
      "MaxPool", [image], ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])])[0]
    #expect(result.values == [5, 7, 13, 15])
    #expect(result.dtype == dtype)
  }

  @Test("finds where the maximum is") func indices() throws {
    let image = try tensor([1, 9, 2, 8, 3, 7, 6, 6, 6, 6, 6, 6], [1, 2, 2, 3])
    let attributes: [String: AttributeValue] = ["kernel_shape": .ints([2, 2])]
    let both = try run("MaxPool", [image], attributes, outputs: 2)
    #expect(both[0].values == [9, 9, 6, 6])
    #expect(both[1].values == [1, 1, 6, 7])
    let columns = try run(
      "MaxPool", [image], attributes.merging(["storage_order": .int(1)]) { $1 }, outputs: 2)
    #expect(columns[1].values == [2, 2, 6, 8])
  }

  @Test("a NaN is the maximum of its windows") func notANumber() throws {
    let image = try tensor([1, .nan, 3, 4], [1, 1, 4])
    for outputs in [1, 2] {
      let result = try run("MaxPool", [image], ["kernel_shape": .ints([2])], outputs: outputs)[0]
      #expect(result.values[0].isNaN && result.values[1].isNaN && result.values[2] == 4)
    }
  }

  @Test("divides by the taps that count", arguments: [DType.float32, .float64])
  func average(dtype: DType) throws {
    let image = try tensor([2, 4, 6, 8, 10], [1, 1, 5], dtype)
    func pool(_ attributes: [String: AttributeValue]) throws -> [Double] {
      try run(
        "AveragePool", [image], attributes.merging(["kernel_shape": .ints([3])]) { $1 })[0].values
    }
    #expect(try pool([:]) == [4, 6, 8])
    #expect(try pool(["pads": .ints([1, 1])]) == [3, 4, 6, 8, 9])
    #expect(
      try pool(["pads": .ints([1, 1]), "count_include_pad": .int(1)]) == [2, 4, 6, 8, 6])
    #expect(try pool(["dilations": .ints([2])]) == [6])
    // The last window has one tap in the image and none in the declared padding.
    #expect(
      try pool([
        "strides": .ints([4]), "ceil_mode": .int(1), "count_include_pad": .int(1),
      ]) == [4, 10])
    // A window that would start beyond the image is left out.
    #expect(try pool(["strides": .ints([7]), "ceil_mode": .int(1)]) == [4])
  }

  @Test("pools volumes", arguments: [DType.float32, .float64]) func volumes(dtype: DType) throws {
    let image = try iota([1, 1, 2, 2, 3], dtype)
    let attributes: [String: AttributeValue] = ["kernel_shape": .ints([2, 2, 2])]
    #expect(try run("MaxPool", [image], attributes)[0].values == [10, 11])
    #expect(try run("AveragePool", [image], attributes)[0].values == [5, 6])
  }

  @Test(
    "maxima and means of volumes by slices are those of plain loops, NaN and ends included",
    arguments: ["MaxPool", "AveragePool"], [0, 1])
  func slices(_ name: String, _ countsPadding: Int) throws {
    var seed: UInt64 = 11
    func next(_ bound: Int) -> Int {
      seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(seed >> 33) % bound
    }
    var compared = 0
    for _ in 0..<200 {
      let shape = [1, 2, 3 + next(5), 3 + next(5), 3 + next(20)]
      let count = shape.reduce(1, *)
      let values = (0..<count).map { _ in next(40) == 0 ? Double.nan : Double(next(64)) - 32 }
      let kernel = [1 + next(3), 1 + next(3), 1 + next(3)]
      var attributes: [String: AttributeValue] = [
        "kernel_shape": .ints(kernel), "strides": .ints([1 + next(3), 1 + next(3), 1 + next(3)]),
        "dilations": .ints([1 + next(2), 1, 1]), "ceil_mode": .int(next(2)),
        "pads": .ints(kernel.map { next($0) } + kernel.map { next($0) }),
      ]
      if name == "AveragePool" { attributes["count_include_pad"] = .int(countsPadding) }
      guard let fast = try? run(name, [tensor(values, shape)], attributes)[0] else { continue }
      let slow = try run(name, [tensor(values, shape, .float64)], attributes)[0]
      #expect(fast.shape == slow.shape)
      #expect(agree(fast.values, slow.values, name == "MaxPool" ? 0 : 3e-6))
      compared += 1
    }
    #expect(compared > 100)
    // Nothing is walked where there is nothing, and no tap that is padding.
    let nothing = try Tensor(uninitialized: .float32, [1, 0, 1 << 40, 4, 4])
    let cube: [String: AttributeValue] = ["kernel_shape": .ints([2, 2, 2])]
    #expect(try run("MaxPool", [nothing], cube)[0].count == 0)
    let tall: [String: AttributeValue] = [
      "kernel_shape": .ints([1 << 30, 1, 1]), "pads": .ints([1 << 29, 0, 0, 1 << 29, 0, 0]),
      "strides": .ints([1 << 29, 1, 1]),
    ]
    #expect(try run("MaxPool", [iota([1, 1, 3, 1, 2])], tall)[0].values == [4, 5])
  }

  @Test("plane kernel and plain loops agree on 2-D windows")
  func planes() throws {
    var seed: UInt64 = 7
    func next(_ bound: Int) -> Int {
      seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(seed >> 33) % bound
    }
    for _ in 0..<300 {
      let (h, w) = (3 + next(9), 3 + next(20))
      let values = (0..<2 * h * w).map { _ in Double(next(64)) }
      let attributes: [String: AttributeValue] = [
        "kernel_shape": .ints([1 + next(3), 1 + next(3)]),
        "strides": .ints([1 + next(3), 1 + next(3)]), "ceil_mode": .int(next(2)),
        "pads": .ints([0, 0, next(2), next(2)]),
      ]
      for name in ["MaxPool", "AveragePool"] {
        let fast = try run(name, [tensor(values, [1, 2, h, w])], attributes)[0]
        let slow = try run(name, [tensor(values, [1, 2, h, w], .float64)], attributes)[0]
        #expect(fast.shape == slow.shape)
        let distance = zip(fast.values, slow.values).map { abs($0 - $1) }.max() ?? 0
        #expect(distance < 1e-4, "\(name) \(attributes)")
      }
    }
  }

  @Test("global pools reduce whole images") func global() throws {
    let image = try iota([2, 2, 2, 2])
    let mean = try run("GlobalAveragePool", [image])[0]
    #expect(mean.shape == [2, 2, 1, 1])
    #expect(mean.values == [1.5, 5.5, 9.5, 13.5])
    #expect(try run("GlobalMaxPool", [iota([1, 2, 3], .float16)])[0].values == [2, 5])
    #expect(throws: MartletError.self) { try run("GlobalMaxPool", [iota([2, 2])]) }
  }

  @Test("refuses what does not fit") func errors() throws {
    let image = try iota([1, 1, 4, 4])
    for attributes: [String: AttributeValue] in [
      [:], ["kernel_shape": .ints([5, 5])], ["kernel_shape": .ints([2])],
      ["kernel_shape": .ints([0, 1])], ["kernel_shape": .ints([2, 2]), "auto_pad": .string("X")],
    ] {
      #expect(throws: MartletError.self) { try run("MaxPool", [image], attributes) }
    }
  }
}
