import MartletCore
import Testing

@testable import MartletOperators

@Suite struct NonMaxSuppressionTests {
  private static let rows: [Double] = [
    0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, -0.1, 1, 0.9, 0, 10, 1, 11, 0, 10.1, 1, 11.1, 0, 100, 1, 101,
  ]

  private func select(
    _ boxes: [Double] = rows, _ scores: [Double] = [0.9, 0.75, 0.6, 0.95, 0.5, 0.3],
    batch: Int = 1, classes: Int = 1, limit: Int? = 3, overlap: Double? = 0.5,
    least: Double? = 0, isCentered: Bool = false
  ) throws -> [Double] {
    let count = boxes.count / 4 / batch
    return try values(
      "NonMaxSuppression",
      [
        tensor(boxes, [batch, count, 4]), tensor(scores, [batch, classes, count]),
        limit.map { try ints([$0]) }, overlap.map { try tensor([$0]) },
        least.map { try tensor([$0]) },
      ], ["center_point_box": .int(isCentered ? 1 : 0)])
  }

  @Test("of boxes that overlap the best is selected") func overlaps() throws {
    #expect(try select() == [0, 0, 3, 0, 0, 0, 0, 0, 5])
    #expect(try select(limit: 2) == [0, 0, 3, 0, 0, 0])
    #expect(try select(least: 0.4) == [0, 0, 3, 0, 0, 0])
    #expect(try select(overlap: 1).count == 9)
    #expect(try select(limit: Int.max, overlap: 1, least: nil).count == 18)
    #expect(try select(limit: nil) == [])
    #expect(try select(limit: 0) == [])
    #expect(try select(limit: -1) == [])
  }

  @Test("corners come in any order, or as centres") func forms() throws {
    let flipped: [Double] = [
      1, 1, 0, 0, 0, 0.1, 1, 1.1, 0, 0.9, 1, -0.1, 0, 10, 1, 11, 1, 10.1, 0, 11.1, 1, 101, 0, 100,
    ]
    #expect(try select(flipped) == [0, 0, 3, 0, 0, 0, 0, 0, 5])
    let centred: [Double] = [
      0.5, 0.5, 1, 1, 0.5, 0.6, 1, 1, 0.5, 0.4, 1, 1, 0.5, 10.5, 1, 1, 0.5, 10.6, 1, 1, 0.5, 100.5,
      1, 1,
    ]
    #expect(try select(centred, isCentered: true) == [0, 0, 3, 0, 0, 0, 0, 0, 5])
  }

  @Test("an overlap of just the threshold suppresses nothing") func boundary() throws {
    // Half of each of two unit squares in common: 1 / 3 of their union.
    let boxes: [Double] = [0, 0, 2, 2, 0, 1, 2, 3]
    let share = Double(Float(2) / Float(6))
    #expect(try select(boxes, [0.5, 0.4], overlap: share) == [0, 0, 0, 0, 0, 1])
    #expect(try select(boxes, [0.5, 0.4], overlap: share - 1e-6) == [0, 0, 0])
  }

  @Test("equal scores go by place, zeros of both signs are equal, NaN comes last")
  func order() throws {
    let boxes = (0..<6).flatMap { index -> [Double] in
      [0, Double(index) * 2, 1, Double(index) * 2 + 1]
    }
    let scores = [0.5, -0.0, .nan, 0.0, 0.5, -1]
    let order: [Double] = [0, 4, 1, 3, 5, 2]
    #expect(
      try select(boxes, scores, limit: 9, least: nil)
        == order.flatMap { box -> [Double] in [0, 0, box] })
    #expect(try select(boxes, scores, limit: 9, least: -0.5).count == 12)
    #expect(try select(boxes, scores, limit: 9, least: 0).count == 6)
  }

  @Test("boxes without an area suppress nothing and are not suppressed") func empty() throws {
    let boxes: [Double] = [0, 0, 1, 1, 0.5, 0.5, 0.5, 0.5, 0, 0, 1, 1]
    #expect(try select(boxes, [1, 0.9, 0.8], limit: 9) == [0, 0, 0, 0, 0, 1])
    let wild: [Double] = [.nan, 0, 1, 1, 0, 0, .infinity, 1, -.infinity, 0, 1, .infinity]
    #expect(try select(wild, [1, 0.9, 0.8], limit: 9).count <= 9)
  }

  @Test("many boxes agree with a plain selection, on any number of threads") func many() throws {
    var state: UInt64 = 7
    func next(_ bound: Double) -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(Float(Double(state >> 40) / Double(1 << 24) * bound))
    }
    let (batch, classes, count) = (2, 5, 300)
    var boxes: [Double] = []
    for _ in 0..<batch * count {
      let (y, x) = (next(60), next(60))
      boxes += [y, x, Double(Float(y + 1 + next(9))), Double(Float(x + 1 + next(9)))]
    }
    let scores = (0..<batch * classes * count).map { _ in (next(1) * 50).rounded() / 50 }
    defer { try? ThreadPool.shared.setThreadCount(0) }
    for threads in [1, 3] {
      try ThreadPool.shared.setThreadCount(threads)
      let result = try select(
        boxes, scores, batch: batch, classes: classes, limit: 40, overlap: 0.3, least: 0.2)
      #expect(result == plain(boxes, scores, batch, classes, count, 40, 0.3, Double(Float(0.2))))
    }
  }

  private func plain(
    _ boxes: [Double], _ scores: [Double], _ batch: Int, _ classes: Int, _ count: Int,
    _ limit: Int, _ overlap: Float, _ least: Double
  ) -> [Double] {
    var result: [Double] = []
    for item in 0..<batch * classes {
      let values = Array(scores[item * count..<(item + 1) * count])
      let order = values.indices.filter { Float(values[$0]) > Float(least) }.sorted {
        (values[$0], $1) > (values[$1], $0)
      }
      var chosen: [Int] = []
      for box in order where chosen.count < limit {
        let first = item / classes * count
        func corner(_ box: Int, _ k: Int) -> Float { Float(boxes[(first + box) * 4 + k]) }
        let isCovered = chosen.contains { other in
          let height = min(corner(box, 2), corner(other, 2)) - max(corner(box, 0), corner(other, 0))
          let width = min(corner(box, 3), corner(other, 3)) - max(corner(box, 1), corner(other, 1))
          guard height > 0, width > 0 else { return false }
          func area(_ box: Int) -> Float {
            (corner(box, 3) - corner(box, 1)) * (corner(box, 2) - corner(box, 0))
          }
          return width * height / (area(box) + area(other) - width * height) > overlap
        }
        if isCovered { continue }
        chosen.append(box)
        result += [Double(item / classes), Double(item % classes), Double(box)]
      }
    }
    return result
  }

  @Test("what does not fit is named") func refusals() throws {
    let (boxes, scores) = (try tensor(Self.rows, [1, 6, 4]), try iota([1, 2, 6]))
    func error(
      _ inputs: [Tensor?], _ attributes: [String: AttributeValue] = [:]
    ) -> MartletError? {
      martletError { _ = try run("NonMaxSuppression", inputs, attributes) }
    }
    #expect(error([try iota([1, 6, 3]), scores])?.input == "boxes")
    #expect(error([try iota([6, 4]), scores])?.code == .invalidShape)
    #expect(error([boxes, try iota([1, 2, 5])])?.expected == "[1, classes, 6]")
    #expect(error([boxes, try iota([2, 2, 6])])?.input == "scores")
    #expect(error([try iota([1, 6, 4], .float64), scores])?.code == .invalidDType)
    for overlap in [-0.1, 1.1, .nan] {
      let wrong = error([boxes, scores, try ints([3]), try tensor([overlap])])
      #expect(wrong?.input == "iou_threshold" && wrong?.expected == "0...1")
    }
    #expect(error([boxes, scores, try ints([3, 4])])?.input == "max_output_boxes_per_class")
    #expect(error([boxes, scores], ["center_point_box": .int(2)])?.expected == "0 or 1")
    let none = try run("NonMaxSuppression", [iota([1, 0, 4]), iota([1, 2, 0]), ints([3])])[0]
    #expect(none.shape == [0, 3] && none.dtype == .int64)
  }
}
