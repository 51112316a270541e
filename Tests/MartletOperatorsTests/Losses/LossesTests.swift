import Glibc
import MartletCore
import Testing

@testable import MartletOperators

@Suite struct LossesTests {
  private let floats = [DType.float32, .float64, .float16, .bfloat16]
  /// [2, 3, 2]
  private let input: [Double] = [1, 2, 2, 2, 3, 2, 0, 1, 2, 2, 1, 2]

  @Test("ONNX's example, by reduction, weights and a class that does not count")
  func negativeLogLikelihood() throws {
    let cases: [(reduction: String, weights: Bool, ignored: Int?, [Double])] = [
      ("none", false, nil, [-3, -2, 0, -2]), ("none", true, nil, [-0.75, -1, 0, -1]),
      ("sum", true, nil, [-2.75]), ("mean", false, nil, [-7.0 / 4]),
      ("mean", true, nil, [-2.75 / 1.75]), ("none", true, 2, [0, -1, 0, -1]),
      ("mean", true, 2, [-2.0 / 1.5]), ("sum", false, 1, [-3]),
    ]
    for dtype in floats {
      for kind in [DType.int32, .int64] {
        for (reduction, weighs, ignored, expected) in cases {
          var attributes: [String: AttributeValue] = ["reduction": .string(reduction)]
          attributes["ignore_index"] = ignored.map { .int($0) }
          let result = try run(
            "NegativeLogLikelihoodLoss",
            [
              tensor(input, [2, 3, 2], dtype), tensor([2, 1, 0, 1], [2, 2], kind),
              weighs ? tensor([0.5, 0.5, 0.25], [3], dtype) : nil,
            ], attributes)[0]
          #expect(result.dtype == dtype && result.shape == (reduction == "none" ? [2, 2] : []))
          #expect(agree(result.values, expected, dtype == .bfloat16 ? 1e-2 : 1e-3))
        }
      }
    }
  }

  @Test("a target outside the classes is an error, unless it is ignored") func targets() throws {
    let x = try tensor(input, [2, 3, 2])
    for bad in [-1, 3] {
      let target = try ints([2, bad, 0, 1], [2, 2])
      let error = #expect(throws: MartletError.self) {
        try run("NegativeLogLikelihoodLoss", [x, target])
      }
      #expect(error?.message.contains("has \(bad) at element 1") == true)
      let rest = try values(
        "NegativeLogLikelihoodLoss", [x, target], ["ignore_index": .int(bad)])
      #expect(agree(rest, [-5.0 / 3]))
    }
    for target in [try ints([0, 1]), try ints([0, 1, 2, 0], [4])] {
      #expect(throws: MartletError.self) { try run("NegativeLogLikelihoodLoss", [x, target]) }
    }
    #expect(throws: MartletError.self) {
      try run("NegativeLogLikelihoodLoss", [x, ints([2, 1, 0, 1], [2, 2]), tensor([1, 2])])
    }
    #expect(throws: MartletError.self) {
      try run(
        "NegativeLogLikelihoodLoss", [x, ints([2, 1, 0, 1], [2, 2])],
        ["reduction": .string("max")])
    }
  }

  @Test("cross entropy is the likelihood under softmax, which is the second result")
  func crossEntropy() throws {
    let scores: [Double] = [1, 2, 3, -1, 0.5, 0]
    var logarithms: [Double] = []
    for start in [0, 3] {
      var sum = 0.0
      for score in scores[start..<start + 3] { sum += exp(score) }
      for score in scores[start..<start + 3] { logarithms.append(score - log(sum)) }
    }
    for dtype in floats {
      let tolerance = dtype == .bfloat16 ? 2e-2 : dtype == .float16 ? 2e-3 : 1e-6
      let inputs = [try tensor(scores, [2, 3], dtype), try ints([2, 0])]
      let results = try run("SoftmaxCrossEntropyLoss", inputs, outputs: 2)
      #expect(
        agree(results[0].values, [-(logarithms[2] + logarithms[3]) / 2], tolerance))
      #expect(results[1].shape == [2, 3] && results[1].dtype == dtype)
      #expect(agree(results[1].values, logarithms, tolerance))
      let each = try run("SoftmaxCrossEntropyLoss", inputs, ["reduction": .string("none")])
      #expect(
        each.count == 1 && agree(each[0].values, [-logarithms[2], -logarithms[3]], tolerance))
    }
    let weights = try tensor([2, 0, 0.5])
    #expect(
      agree(
        try values("SoftmaxCrossEntropyLoss", [tensor(scores, [2, 3]), ints([2, 0]), weights]),
        [-(0.5 * logarithms[2] + 2 * logarithms[3]) / 2.5]))
  }

  @Test("many elements, in the same bits for any number of threads; none are no mean")
  func sizes() throws {
    let count = 20_001
    let x = try tensor((0..<count * 2).map { Double(($0 * 7919) % 1009) / 97 }, [count, 2])
    let target = try ints((0..<count).map { $0 % 2 })
    defer { try? ThreadPool.shared.setThreadCount(0) }
    try ThreadPool.shared.setThreadCount(1)
    let alone = try values("SoftmaxCrossEntropyLoss", [x, target])
    try ThreadPool.shared.setThreadCount(3)
    #expect(try values("SoftmaxCrossEntropyLoss", [x, target]) == alone)
    let empty = [try tensor([], [0, 3]), try ints([])]
    #expect(try values("NegativeLogLikelihoodLoss", empty)[0].isNaN)
    #expect(try values("NegativeLogLikelihoodLoss", empty, ["reduction": .string("sum")]) == [0])
    let types = [ValueType(dtype: .float32, shape: [.known(0), .known(3)]), .unknown(.int64)]
    #expect(try infer("SoftmaxCrossEntropyLoss", types)[0].text == "float32[]")
  }
}
