import Glibc
import MartletCore
import ONNXFixtures
import Testing

@testable import MartletImport

/// Norms and activations of com.microsoft, against values worked out by hand.
@Suite struct NormalizationFormsTests {
  @Test("SkipLayerNormalization normalises the sum, which is its fourth output")
  func skip() throws {
    let x = try numbers([1, 2, 3, 4], [1, 2, 2])
    let skip = try numbers([1, 0, 0, 2], [2, 2])
    let gamma = try numbers([1, 2])
    let beta = try numbers([0, 1])
    var node = NodeCase(
      "SkipLayerNormalization", [x, skip, gamma, beta, try numbers([1, 1])],
      [("epsilon", .float(0))], outputs: 4)
    var results = try node.run()
    // Sums 3, 3 and 4, 7: a constant row, and one of deviation 1.5.
    #expect(results[3].doubles == [3, 3, 4, 7])
    #expect(results[1].doubles == [3, 5.5] && results[1].shape == [1, 2, 1])
    #expect(results[0].doubles[2].isNear(-1) && results[0].doubles[3].isNear(3))
    #expect(results[2].doubles[1].isNear(1 / 1.5))
    node.attributes = [("epsilon", .float(1e-5))]
    node.isSymbolic = true
    results = try node.run()
    #expect(results[0].isNear([0, 1, -1, 3]))
    node.inputs[1] = try numbers([1, 2])
    #expect(node.error?.code == .invalidModel && node.error?.node == "node")
    node.inputs[1] = nil
    #expect(node.error?.message.contains("'skip' is missing") == true)
  }

  @Test("the simplified norms divide by the root of the mean square, and say it")
  func simplified() throws {
    let x = try numbers([3, 4, 0, 2], [2, 2])
    let zero = try numbers([0, 0, 0, 0], [2, 2])
    let gamma = try numbers([1, 2])
    let results = try NodeCase(
      "SkipSimplifiedLayerNormalization", [x, zero, gamma], outputs: 4
    ).run()
    let (a, b) = (12.5.squareRoot(), 2.0.squareRoot())
    let (normal, inverse): ([Double], [Double]) = ([3 / a, 8 / a, 0, 4 / b], [1 / a, 1 / b])
    #expect(results[0].isNear(normal))
    #expect(results[1].doubles == [0, 0])
    #expect(results[2].isNear(inverse))
    let plain = try NodeCase(
      "SimplifiedLayerNormalization", [x, gamma], [("axis", .int(-1))], outputs: 2, domain: ""
    ).run()
    #expect(plain[0].isNear(normal))
    #expect(plain[1].isNear(inverse))
    #expect(plain[1].shape == [2, 1])
  }

  @Test("SimplifiedLayerNormalization's result is of its scale's type")
  func mixedTypes() throws {
    let y = try NodeCase(
      "SimplifiedLayerNormalization",
      [try numbers([3, 4], [1, 2]), try numbers([1, 2], nil, .float16)], domain: ""
    ).run()[0]
    #expect(y.dtype == .float16)
    let root = 12.5.squareRoot()
    let expected: [Double] = [3 / root, 8 / root]
    #expect(y.isNear(expected, 1e-3))
  }

  @Test("EmbedLayerNormalization adds three embeddings and counts its mask's ones")
  func embedding() throws {
    let ids = try numbers([1, 0], [1, 2], .int32)
    let table = try numbers([0, 1, 2, 4], [2, 2])
    let places = try numbers([1, 0, 0, 0, 9, 9], [3, 2])
    let (gamma, beta) = (try numbers([1, 1]), try numbers([0, 0]))
    let mask = try numbers([0, 1], [1, 2], .int32)
    var node = NodeCase(
      "EmbedLayerNormalization", [ids, nil, table, places, nil, gamma, beta, mask], outputs: 3)
    node.isSymbolic = true
    var results = try node.run()
    #expect(results[2].doubles == [3, 4, 0, 1])
    #expect(results[1].doubles == [1] && results[1].dtype == .int32)
    #expect(results[0].isNear([-1, 1, -1, 1]))
    node.inputs += [try numbers([2, 1], [1, 2], .int32)]
    node.inputs[7] = nil
    results = try node.run()
    #expect(results[2].doubles == [11, 13, 0, 1] && results[1].doubles == [0])
    node.inputs[0] = try numbers([2, 0], [1, 2], .int32)
    #expect(node.error?.code == .invalidArgument)
  }

  @Test("relatives of Gelu add their bias before")
  func gelus() throws {
    let x = try numbers([0, 1, -1, 2], [2, 2])
    let bias = try numbers([1, 0])
    func gelu(_ x: Double) -> Double { x * 0.5 * (1 + erf(x / 2.0.squareRoot())) }
    let plain: [Double] = [0, 1, -1, 2]
    let biased: [Double] = [1, 1, 0, 2]
    #expect(try NodeCase("BiasGelu", [x, bias]).run()[0].isNear(biased.map(gelu)))
    #expect(try NodeCase("Gelu", [x]).run()[0].isNear(plain.map(gelu)))
    #expect(try NodeCase("FastGelu", [x, bias]).run()[0].isNear(biased.map(gelu), 1e-3))
    let quick = plain.map { (x: Double) -> Double in x / (1 + exp(-1.702 * x)) }
    #expect(try NodeCase("QuickGelu", [x]).run()[0].isNear(quick))
    let split = try NodeCase("BiasSplitGelu", [try numbers([0, 1], [1, 1, 2]), bias]).run()[0]
    #expect(split.shape == [1, 1, 1] && split.isNear([gelu(1)]))
    let wrong = NodeCase("BiasGelu", [x, try numbers([1, 0], [1, 2])])
    #expect(wrong.error?.message.contains("rank 2, expected 1") == true)
    #expect(NodeCase("FastGelu", [x], [("beta", .int(1))]).error?.input == "beta")
  }

  @Test("SwiGLU gates B by Swish of A, of one shape")
  func swiGLU() throws {
    let a = try numbers([1, -2])
    let y = try NodeCase("SwiGLU", [a, try numbers([3, 4])], [("alpha", .float(2))], domain: "")
      .run()[0]
    let expected: [Double] = [3 / (1 + exp(-2.0)), -8 / (1 + exp(4.0))]
    #expect(y.isNear(expected))
    #expect(NodeCase("SwiGLU", [a, try numbers([3])], domain: "").error?.code == .invalidModel)
  }
}

extension Double {
  fileprivate func isNear(_ other: Double) -> Bool { abs(self - other) < 1e-5 }
}
