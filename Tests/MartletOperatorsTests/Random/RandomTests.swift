import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

private let floats = [DType.float32, .float64, .float16, .bfloat16]

@Suite struct RandomTests {
  private func made(
    _ name: String, _ attributes: [String: AttributeValue], inputs: Int = 0, outputs: Int = 1
  ) throws -> any Operator {
    try OperatorTable.make(
      OperatorID(name),
      OperatorNode(
        attributes: Attributes(attributes, operatorName: name),
        constants: [Tensor?](repeating: nil, count: inputs), inputCount: inputs,
        outputCount: outputs))
  }

  private func moments(_ values: [Double]) -> (mean: Double, deviation: Double) {
    var (sum, squares) = (0.0, 0.0)
    for value in values { sum += value }
    let mean = sum / Double(values.count)
    for value in values { squares += (value - mean) * (value - mean) }
    return (mean, (squares / Double(values.count)).squareRoot())
  }

  @Test("normal numbers have the mean and the deviation that are asked for", arguments: floats)
  func normal(dtype: DType) throws {
    let attributes: [String: AttributeValue] = [
      "shape": .ints([40, 501]), "mean": .float(3), "scale": .float(2), "seed": .float(7),
      "dtype": .int(Int(dtype.rawValue)),
    ]
    let result = try run("RandomNormal", [], attributes)[0]
    #expect(result.shape == [40, 501] && result.dtype == dtype)
    let (mean, deviation) = moments(result.values)
    #expect(abs(mean - 3) < 0.06)
    #expect(abs(deviation - 2) < 0.04)
    let all = result.values
    for (bound, expected) in [(2.0, 0.6827), (4.0, 0.9545), (6.0, 0.9973)] {
      var within = 0
      for value in all where value > 3 - bound && value < 3 + bound { within += 1 }
      let share = Double(within) / Double(all.count)
      let distance: Double = abs(share - expected)
      #expect(distance < 0.012)
    }
  }

  @Test("uniform numbers fill their range and do not reach its end", arguments: floats)
  func uniform(dtype: DType) throws {
    let result = try run(
      "RandomUniformLike", [iota([40, 501], .int8)],
      ["low": .float(-1), "high": .float(3), "seed": .float(1), "dtype": .int(Int(dtype.rawValue))]
    )[0]
    #expect(result.shape == [40, 501] && result.dtype == dtype)
    #expect(result.values.allSatisfy { $0 >= -1 && $0 <= 3 })
    let (mean, deviation) = moments(result.values)
    #expect(abs(mean - 1) < 0.04)
    #expect(abs(deviation - 1.1547) < 0.02)
    let unit = try run(
      "RandomUniform", [], ["shape": .ints([20000]), "dtype": .int(Int(dtype.rawValue))])[0]
    #expect(unit.values.allSatisfy { $0 >= 0 && $0 < 1 })
    let all = try run(
      "RandomUniform", [],
      [
        "shape": .ints([100]), "low": .float(-.greatestFiniteMagnitude),
        "high": .float(.greatestFiniteMagnitude), "dtype": .int(11),
      ])[0]
    #expect(all.values.allSatisfy { $0.isFinite })
  }

  @Test("a seeded node repeats itself run by run; an unseeded one never does") func seeds() throws {
    let attributes: [String: AttributeValue] = ["shape": .ints([9]), "seed": .float(2.5)]
    for name in ["RandomNormal", "RandomUniform"] {
      let (first, second) = (try made(name, attributes), try made(name, attributes))
      let runs = try (0..<3).map { _ in try first.results([], makeContext())[0].values }
      let again = try (0..<3).map { _ in try second.results([], makeContext())[0].values }
      #expect(again == runs)
      #expect(runs[0] != runs[1] && runs[1] != runs[2])
      let (other, third) = (
        try made(name, ["shape": .ints([9])]), try made(name, ["shape": .ints([9])])
      )
      let fresh = try other.results([], makeContext())[0].values
      let next = try other.results([], makeContext())[0].values
      let apart = try third.results([], makeContext())[0].values
      #expect(next != fresh && apart != fresh)
    }
  }

  @Test("numbers depend neither on threads nor on how many are drawn") func positions() throws {
    defer { try? ThreadPool.shared.setThreadCount(0) }
    func drawn(_ count: Int, threads: Int) throws -> [Double] {
      try ThreadPool.shared.setThreadCount(threads)
      return try values(
        "RandomNormal", [],
        ["shape": .ints([count]), "seed": .float(4), "dtype": .int(11)])
    }
    let all = try drawn(50_001, threads: 1)
    let shared = try drawn(50_001, threads: 3)
    let few = try drawn(777, threads: 1)
    #expect(shared == all)
    #expect(few == Array(all[..<777]))
  }

  @Test("Bernoulli draws ones as often as it is told, in any type", arguments: DType.wideCases)
  func bernoulli(dtype: DType) throws {
    let chances: [Double] = [0, 0.25, 1]
    let p = try tensor((0..<30_000).map { chances[$0 % 3] }, [30_000])
    let result = try run(
      "Bernoulli", [p], ["seed": .float(0), "dtype": .int(Int(dtype.rawValue))])[0]
    #expect(result.dtype == dtype)
    var counts = [0, 0, 0]
    for (index, value) in result.values.enumerated() where value == 1 { counts[index % 3] += 1 }
    #expect(counts[0] == 0)
    #expect((2300...2700).contains(counts[1]))
    #expect(counts[2] == 10_000)
    #expect(result.values.allSatisfy { $0 == 0 || $0 == 1 })
  }

  @Test("Dropout in training drops as many as it is told, and scales the others", arguments: floats)
  func dropout(dtype: DType) throws {
    let list = (0..<30_000).map { (index: Int) -> Double in index % 3 == 0 ? Double.nan : 3 }
    let x = try tensor(list, [30_000], dtype)
    let training = try tensor([1], [], .bool)
    let inputs = [x, try tensor([0.25], [], .float32), training]
    let made = try made("Dropout", ["seed": .int(3)], inputs: 3, outputs: 2)
    let results = try made.results(inputs, makeContext())
    #expect(results[0].dtype == dtype && results[1].dtype == .bool)
    let kept = results[1].values
    #expect((22_000...23_000).contains(kept.filter { $0 == 1 }.count))
    for (index, (value, isKept)) in zip(results[0].values, kept).enumerated() {
      let expected = isKept == 0 ? 0 : index % 3 == 0 ? Double.nan : 4
      if !agree([value], [expected], 1e-6) { Issue.record("\(value), not \(expected)") }
    }
    let again = try made.results(inputs, makeContext())
    #expect(again[1].values != kept)
    for ratio in [-0.5, 1, 1.5, .nan] {
      let error = martletError {
        _ = try run("Dropout", [x, tensor([ratio], []), training])
      }
      #expect(error?.code == .invalidArgument)
    }
    #expect(agree(try values("Dropout", [x, tensor([0], []), training]), x.values))
    #expect(agree(try values("Dropout", [x, tensor([0.5], []), tensor([0], [], .bool)]), x.values))
  }

  @Test("Multinomial draws classes by the exponentials of its input") func multinomial() throws {
    let none = -Double.infinity
    let logits = try tensor([0, 1, 2, none, none, 700, none, none], [2, 4], .float64)
    for dtype in [DType.int32, .int64] {
      let result = try run(
        "Multinomial", [logits],
        [
          "sample_size": .int(20_000), "seed": .float(3), "dtype": .int(Int(dtype.rawValue)),
        ])[0]
      #expect(result.shape == [2, 20_000] && result.dtype == dtype)
      let first = result.values[..<20_000]
      for (index, share) in [0.0900, 0.2447, 0.6652, 0].enumerated() {
        var count = 0.0
        for value in first where value == Double(index) { count += 1 }
        let distance: Double = abs(count / 20_000 - share)
        #expect(distance < 0.012)
      }
      #expect(first.allSatisfy { $0 < 3 })
      #expect(result.values[20_000...].allSatisfy { $0 == 1 })
    }
  }

  @Test("what makes no sense is refused by name") func faults() throws {
    func refused(
      _ name: String, _ inputs: [Tensor?], _ attributes: [String: AttributeValue], _ input: String
    ) {
      let error = #expect(throws: MartletError.self) { try run(name, inputs, attributes) }
      #expect(error?.operatorName == name && error?.input == input, "\(String(describing: error))")
    }
    let matrix = try iota([2, 3])
    refused("RandomNormal", [], [:], "shape")
    refused("RandomNormal", [], ["shape": .ints([-1])], "shape")
    refused("RandomNormal", [], ["shape": .ints([1]), "scale": .float(-1)], "scale")
    refused("RandomNormal", [], ["shape": .ints([1]), "mean": .float(.nan)], "mean")
    refused("RandomUniform", [], ["shape": .ints([1]), "high": .float(-1)], "high")
    refused("RandomUniform", [], ["shape": .ints([1]), "low": .float(.infinity)], "low")
    refused("RandomUniform", [], ["shape": .ints([1]), "dtype": .int(6)], "dtype")
    refused("RandomNormalLike", [try iota([2], .int32)], [:], "input")
    refused("Bernoulli", [try tensor([0.5, 1.5])], [:], "input")
    refused("Bernoulli", [try tensor([.nan])], [:], "input")
    refused("Bernoulli", [try iota([1], .int32)], [:], "input")
    refused("Multinomial", [try tensor([0.5, 1.5])], [:], "input")
    refused("Multinomial", [matrix], ["sample_size": .int(0)], "sample_size")
    refused("Multinomial", [matrix], ["dtype": .int(1)], "dtype")
    refused("Multinomial", [try tensor([], [2, 0])], [:], "input")
    refused("Multinomial", [try tensor([-.infinity], [1, 1])], [:], "input")
    refused("Multinomial", [try tensor([.nan, 1], [1, 2])], [:], "input")
  }
}
