import MartletCore
import Testing

@Suite struct DestinationsTests {
  private func ints(_ shape: [Int]) throws -> Tensor {
    let tensor = try Tensor(uninitialized: .int32, shape)
    for index in 0..<tensor.count { tensor.typed(Int32.self)[index] = Int32(index) }
    return tensor
  }

  private func values(_ tensor: Tensor?) throws -> [Int32] {
    let dense = try #require(try tensor?.copied())
    return (0..<dense.count).map { dense.typed(Int32.self)[$0] }
  }

  private func slice(_ tensor: Tensor, _ axis: Int, _ range: Range<Int>, step: Int = 1) -> Tensor {
    tensor.sliced(axis: axis, start: range.lowerBound, count: range.count, step: step)
  }

  @Test("whether two views share an element is found out, but for odd interleavings")
  func overlaps() throws {
    let x = try ints([4, 6])
    let reversed = slice(x, 1, 5..<8, step: -1)
    let turned = try x.permuted([1, 0])
    let cases: [(Tensor, Tensor, Bool)] = [
      (x, x, true), (x, try ints([4, 6]), false),
      (slice(x, 0, 0..<2), slice(x, 0, 2..<4), false),
      (slice(x, 0, 0..<3), slice(x, 0, 2..<4), true),
      (slice(x, 1, 0..<3), slice(x, 1, 3..<6), false),
      (slice(x, 1, 0..<4), slice(x, 1, 3..<6), true),
      (slice(x, 1, 0..<3, step: 2), slice(x, 1, 1..<4, step: 2), false),
      (slice(x, 1, 0..<1), slice(x, 1, 5..<6), false),
      (slice(x, 1, 0..<1), slice(slice(x, 1, 0..<1), 0, 1..<3, step: 2), true),
      (reversed, slice(x, 1, 0..<3), false), (reversed, slice(x, 1, 0..<4), true),
      (turned, slice(x, 1, 2..<3), true),
      (slice(x, 0, 1..<1), x, false),
    ]
    for (index, (a, b, expected)) in cases.enumerated() {
      #expect(a.overlaps(b) == expected, "case \(index)")
      #expect(b.overlaps(a) == expected, "case \(index), turned")
    }
  }

  @Test("no two views that share an element are told apart", arguments: 0..<200)
  func exhaustive(_ seed: Int) throws {
    var state = UInt64(seed + 1)
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let x = try ints([5, 4, 3])
    func view() -> Tensor {
      var view = x
      for axis in 0..<3 {
        let start = random(view.shape[axis])
        let left = view.shape[axis] - start
        let step = 1 + random(2)
        view = view.sliced(
          axis: axis, start: start, count: 1 + random((left - 1) / step + 1), step: step)
        if random(3) == 0 {
          view = view.sliced(
            axis: axis, start: view.shape[axis] - 1, count: view.shape[axis], step: -1)
        }
      }
      return view
    }
    for _ in 0..<50 {
      let (a, b) = (view(), view())
      if try !Set(values(a)).isDisjoint(with: values(b)) { #expect(a.overlaps(b)) }
    }
  }

  @Test("what cannot take a result is refused by its name") func refusals() throws {
    let x = try ints([4, 6])
    let repeated = try ints([1, 6]).broadcast(to: [4, 6])
    let readOnly = Tensor(
      unchecked: Storage(borrowing: x.pointer, byteCount: 96, isReadOnly: true), dtype: .int32,
      shape: [4, 6], strides: [6, 1], byteOffset: 0)
    let strings = try Tensor(strings: ["a"], [1])
    for bad in [repeated, readOnly, strings, slice(x, 1, 0..<2)] {
      let error = #expect(throws: MartletError.self) {
        try Destinations([x, nil, bad]) { "out[\($0)]" }
      }
      #expect(error?.code == .invalidArgument && error?.input == "out[2]")
      #expect(error?.expected != nil && error?.actual != nil)
    }
    _ = try Destinations([slice(x, 1, 0..<3), nil, slice(x, 1, 3..<6)]) { "out[\($0)]" }
  }

  @Test("a destination is written during the work unless an input lies in it") func writable()
    throws
  {
    let x = try ints([4, 6])
    let (left, right) = (slice(x, 1, 0..<3), slice(x, 1, 3..<6))
    let destinations = try Destinations([left, nil, right]) { "\($0)" }
    func writable(_ inputs: [Value]) -> [Bool] {
      destinations.writable(reading: inputs, count: 4).map { $0 != nil }
    }
    #expect(writable([.tensor(try ints([2]))]) == [true, false, true, false])
    #expect(writable([.tensor(left)]) == [false, false, true, false])
    #expect(
      writable([.sequence(try ValueSequence([.tensor(slice(x, 0, 0..<1))]))])
        == [false, false, false, false])
    #expect(Destinations.none.writable(reading: [.tensor(x)], count: 4).isEmpty)
  }

  @Test("results leave each other's destinations before these are written") func received() throws {
    let x = try ints([6])
    let (low, high) = (slice(x, 0, 0..<3), slice(x, 0, 3..<6))
    let destinations = try Destinations([low, high]) { "\($0)" }
    var copies = 0
    func receive(_ results: [Tensor]) throws -> [[Int32]] {
      copies = 0
      let received = try destinations.receive(results.map { .tensor($0) }) {
        tensor throws(MartletError) in
        copies += 1
        return try tensor.copied()
      }
      #expect(received[0].tensor?.isSameView(as: low) == true)
      #expect(received[1].tensor?.isSameView(as: high) == true)
      return try received.map { try values($0.tensor) }
    }
    #expect(try receive([low, high]) == [[0, 1, 2], [3, 4, 5]] && copies == 0)
    // Changed about, with a third result in the memory of both.
    #expect(
      try receive([high, low, slice(x, 0, 2..<4)]) == [[3, 4, 5], [0, 1, 2], [2, 3]])
    #expect(copies == 3)
    // Shifted within its own destination.
    let wide = try ints([4])
    let one = try Destinations([slice(wide, 0, 1..<4)]) { "\($0)" }
    let result = try one.receive([.tensor(slice(wide, 0, 0..<3))]) {
      tensor throws(MartletError) in try tensor.copied()
    }
    #expect(try values(result[0].tensor) == [0, 1, 2] && values(wide) == [0, 0, 1, 2])
  }
}
