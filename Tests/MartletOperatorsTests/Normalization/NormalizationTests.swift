import MartletCore
import Testing

@testable import MartletOperators

@Suite struct NormalizationTests {
  @Test(
    "softmax sums to one along any axis, in every float type",
    arguments: [DType.float32, .float64, .float16, .bfloat16])
  func softmax(_ dtype: DType) throws {
    let x = try tensor([1, 2, 3, 1, 1, 1], [2, 3], dtype)
    let third = 1.0 / 3
    let rows = [0.09003057, 0.24472847, 0.66524096, third, third, third]
    let tolerance = dtype == .bfloat16 ? 4e-3 : dtype == .float16 ? 5e-4 : 1e-6
    #expect(agree(try values("Softmax", [x]), rows, tolerance))
    let columns = try values("Softmax", [x], ["axis": .int(0)])
    #expect(agree(columns, [0.5, 0.731059, 0.880797, 0.5, 0.268941, 0.119203], tolerance))
    let logs = try values("LogSoftmax", [x])
    #expect(agree(logs.prefix(3).map { $0 }, [-2.407606, -1.407606, -0.407606], tolerance))
  }

  @Test("softmax takes large values, and a row of -Inf gives NaN") func extremes() throws {
    #expect(try values("Softmax", [tensor([1e30, 1e30])]) == [0.5, 0.5])
    #expect(try values("Softmax", [tensor([-.infinity, 0])]) == [0, 1])
    #expect(try values("Softmax", [tensor([-.infinity, -.infinity])]).allSatisfy(\.isNaN))
    #expect(try run("Softmax", [tensor([], [0, 3])])[0].shape == [0, 3])
  }

  @Test("layer norm scales, shifts and hands out its statistics") func layerNorm() throws {
    let x = try tensor([1, 2, 3, 4, 2, 2, 2, 2], [2, 4])
    let scale = try tensor([1, 1, 2, 2])
    let bias = try tensor([0, 1, 0, 1])
    let parts = try run("LayerNormalization", [x, scale, bias], outputs: 3)
    let d = 1 / (1.25 + 1e-5).squareRoot()
    #expect(
      agree(
        parts[0].values, [-1.5 * d, 1 - 0.5 * d, d, 1 + 3 * d, 0, 1, 0, 1], 1e-5))
    #expect(parts[1].shape == [2, 1] && parts[1].values == [2.5, 2])
    #expect(agree(parts[2].values, [d, 1 / 1e-5.squareRoot()], 1e-4))
    // A scale that differs from row to row is applied with broadcasting.
    let perRow = try values("LayerNormalization", [x, tensor([1, 10], [2, 1]), tensor([1], [1])])
    #expect(
      agree(
        perRow.prefix(4).map { $0 }, [1 - 1.5 * d, 1 - 0.5 * d, 1 + 0.5 * d, 1 + 1.5 * d], 1e-5))
    let whole = try values("LayerNormalization", [x, tensor([1], [1])], ["axis": .int(0)])
    #expect(abs(whole.reduce(0, +)) < 1e-5)
  }

  @Test("RMS norm divides by the root of the mean square") func rmsNorm() throws {
    let x = try tensor([3, 4], [1, 2])
    let root = 12.5.squareRoot()
    #expect(
      agree(try values("RMSNormalization", [x, tensor([1, 2])]), [3 / root, 8 / root], 1e-5))
  }

  @Test("batch norm works on long and short planes alike") func batchNorm() throws {
    let parameters = [
      try tensor([2, 1]), try tensor([0, 1]), try tensor([1, 0]), try tensor([4, 1]),
    ]
    let x = try iota([1, 2, 20])
    let long = try values("BatchNormalization", [x] + parameters, ["epsilon": .float(0)])
    #expect(
      agree(long.prefix(3).map { $0 }, [-1, 0, 1]) && agree([long[20], long[39]], [21, 40]))
    let short = try values(
      "BatchNormalization", [iota([3, 2])] + parameters, ["epsilon": .float(0)])
    #expect(agree(short, [-1, 2, 1, 4, 3, 6]))
  }

  @Test("instance and group norm normalise their planes") func planes() throws {
    let x = try tensor([1, 3, 10, 30], [1, 2, 2])
    let (scale, bias) = (try tensor([1, 2]), try tensor([0, 1]))
    let instance = try values("InstanceNormalization", [x, scale, bias])
    #expect(agree(instance, [-1, 1, -1, 3], 1e-4))
    let group = try values(
      "GroupNormalization", [x, scale, bias], ["num_groups": .int(2)])
    #expect(agree(group, instance))
    #expect(throws: MartletError.self) {
      try run("GroupNormalization", [x, scale, bias], ["num_groups": .int(3)])
    }
  }
}
