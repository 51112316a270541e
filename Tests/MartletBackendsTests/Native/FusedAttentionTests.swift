import MartletCore
import Testing

@testable import MartletBackends

/// One random attention drawn from a seed, in guarded memory.
private final class AttentionCase {
  struct Memory {
    let query = try? GuardedBuffer(capacity: 1 << 21)
    let key = try? GuardedBuffer(capacity: 1 << 22)
    let value = try? GuardedBuffer(capacity: 1 << 22)
    let mask = try? GuardedBuffer(capacity: 1 << 22)
    let dst = try? GuardedBuffer(capacity: 1 << 21)
  }

  let seed: UInt64
  var problem: AttentionProblem
  let dstCount: Int

  init(seed: UInt64, memory: Memory, mode: MathMode, isLong: Bool = false) throws {
    self.seed = seed
    var random = RandomSource(seed: seed)
    let batch = random.pick([1, 1, 2, 3])
    let keyHeads = random.pick([1, 1, 2, 3])
    let group = random.pick([1, 1, 2, 4])
    let queries = isLong ? random.int(1...40) : random.pick([0, 1, 1, 2, 5, 6, 7, 13, 49, 60])
    let keys =
      isLong
      ? random.pick([255, 256, 257, 300, 511, 513, 800]) : random.pick([0, 1, 3, 8, 17, 64, 70])
    let width = random.pick([0, 1, 3, 8, 16, 31, 33])
    let valueWidth = random.pick([1, 3, 8, 16, 17, 40])

    /// Heads of [batch, heads, rows, columns] in one of the layouts that callers use.
    func heads(
      _ buffer: GuardedBuffer?, _ heads: Int, _ rows: Int, _ columns: Int, isResult: Bool = false
    ) throws -> HeadsView {
      let buffer = try #require(buffer)
      let count = batch * heads * rows * columns
      let step = isResult || random.chance(80) ? 1 : 2
      let values = buffer.elements(count * step, filledWith: Float.nan)
      if !isResult {
        for index in 0..<count * step { values[index] = random.float() * 2 }
      }
      if random.chance(50) {
        return HeadsView(
          values, batchStride: heads * rows * columns * step, headStride: columns * step,
          rowStride: heads * columns * step, columnStride: step)
      }
      return HeadsView(
        values, batchStride: heads * rows * columns * step, headStride: rows * columns * step,
        rowStride: columns * step, columnStride: step)
    }
    let queryHeads = keyHeads * group
    problem = AttentionProblem(
      batch: batch, queryHeads: queryHeads, keyHeads: keyHeads, queries: queries, keys: keys,
      width: width, valueWidth: valueWidth,
      query: try heads(memory.query, queryHeads, queries, width),
      key: try heads(memory.key, keyHeads, keys, width),
      value: try heads(memory.value, keyHeads, keys, valueWidth),
      dst: try heads(memory.dst, queryHeads, queries, valueWidth, isResult: true),
      scale: random.pick([0.125, 0.5, 1, -0.3]), mode: mode)
    dstCount = batch * queryHeads * queries * valueWidth
    if random.chance(35) {
      problem.visible.causalOffset = random.int(-2...max(keys - queries, 0) + 1)
    }
    if random.chance(25) {
      problem.visible.lengths = (0..<batch).map { _ in random.int(-1...keys + 1) }
    }
    if random.chance(20) { problem.visible.windowOffset = random.int(-queries...keys + 1) }
    if random.chance(20) {
      problem.visible.batchOffsets = (0..<batch).map { _ in random.int(-queries...keys) }
    }
    if random.chance(20) { problem.softcap = random.pick([0.7, 5, 50]) }
    problem.empty = random.pick([.zero, .nan, .alwaysZero])
    if random.chance(50), keys > 0 {
      let shape = [batch, queryHeads, queries].map { random.chance(50) ? $0 : 1 }
      let rows = shape.reduce(1, *)
      let strides = [
        shape[0] == 1 ? 0 : shape[1] * shape[2] * keys, shape[1] == 1 ? 0 : shape[2] * keys,
        shape[2] == 1 ? 0 : keys,
      ]
      let buffer = try #require(memory.mask)
      let flagChance = random.pick([80, 60, 5])  // few shown: some queries see no key
      if random.chance(50) {
        let values = buffer.elements(rows * keys, filledWith: UInt8(0))
        for index in 0..<rows * keys { values[index] = random.chance(flagChance) ? 1 : 0 }
        problem.mask = AttentionMaskView(
          .shown, values, batchStride: strides[0], headStride: strides[1], rowStride: strides[2])
      } else {
        let values = buffer.elements(rows * keys, filledWith: Float(0))
        for index in 0..<rows * keys {
          values[index] = random.chance(100 - flagChance) ? -.infinity : random.float() * 3
        }
        problem.mask = AttentionMaskView(
          .added, values, batchStride: strides[0], headStride: strides[1], rowStride: strides[2])
      }
    }
  }

  /// dst's rows in the order of the reference.
  func result(of problem: AttentionProblem) -> [Float] {
    var values: [Float] = []
    for b in 0..<problem.batch {
      for h in 0..<problem.queryHeads {
        for i in 0..<problem.queries {
          let row = problem.dst.row(b, h, i)
          for e in 0..<problem.valueWidth { values.append(row[e]) }
        }
      }
    }
    return values
  }

  /// What the reference says, and how far a result may lie from it.
  struct Expectation {
    let values: [Double]
    let bounds: [Double]
  }

  func expectation(rounds: Bool) -> Expectation {
    let values = ReferenceBackend(roundsToBF16: rounds).attention(problem)
    let magnitudes = ReferenceBackend(roundsToBF16: rounds, sumsMagnitudes: true)
      .attention(problem)
    // A score's error: of a sum of `width` products of at most 4, scaled, and of the mask (below 3,
    // rounded once more), the cap (2 ulp) and the subtraction of the maximum.
    let size = 4 * Double(problem.width) * abs(Double(problem.scale)) + 3
    let score = Tolerance.u32 * size * Double(problem.width + 12)
    let weight = 2 * score + (rounds ? Tolerance.u16 : 0)
    let sums = Double(2 * problem.keys + 16) * Tolerance.u32
    return Expectation(
      values: values, bounds: magnitudes.map { (2 * weight + sums) * $0 + 0x1p-120 })
  }

  func failure(_ backend: NativeBackend, _ expected: Expectation) throws -> String? {
    problem.dst.pointer.update(repeating: -1e30, count: dstCount)
    _ = try backend.attend(problem, pool: .shared)
    for (index, actual) in result(of: problem).enumerated() {
      let (value, bound) = (expected.values[index], expected.bounds[index])
      let isRight = value.isNaN ? actual.isNaN : abs(Double(actual) - value) <= bound
      guard isRight else {
        return
          "seed \(seed): element \(index) is \(actual), expected \(value) within \(bound); \(problem)"
      }
    }
    return nil
  }

  func bits(_ backend: NativeBackend, _ problem: AttentionProblem) throws -> [UInt32] {
    _ = try backend.attend(problem, pool: .shared)
    return result(of: problem).map(\.bitPattern)
  }
}

@Suite(.serialized) struct FusedAttentionTests {
  @Test("random attentions agree with float64 on every instruction set", arguments: [false, true])
  func agreesWithReference(isLong: Bool) throws {
    let memory = AttentionCase.Memory()
    for index in 0..<(isLong ? 60 : 600) {
      let seed = UInt64(isLong ? 22 : 21) << 32 | UInt64(index)
      let mode: MathMode = index % 2 == 0 ? .fp32 : .bf16
      let example = try AttentionCase(seed: seed, memory: memory, mode: mode, isLong: isLong)
      let exact = example.expectation(rounds: false)
      let rounded = mode == .bf16 ? example.expectation(rounds: true) : exact
      for kernels in testedKernels {
        let expected = kernels.precision(for: mode).usesBF16 ? rounded : exact
        if let failure = try example.failure(NativeBackend(kernels: kernels), expected) {
          Issue.record("\(kernels.name): \(failure)")
          return
        }
      }
    }
  }

  @Test("a query's bits depend on nothing but its keys: threads, batch, heads, other queries")
  func bitsAreFixed() throws {
    let memory = AttentionCase.Memory()
    let pool = ThreadPool.shared
    defer { try? pool.setThreadCount(0) }
    for index in 0..<60 {
      let seed = UInt64(23) << 32 | UInt64(index)
      for kernels in testedKernels {
        let backend = NativeBackend(kernels: kernels)
        let example = try AttentionCase(
          seed: seed, memory: memory, mode: index % 2 == 0 ? .fp32 : .bf16, isLong: index % 4 < 2)
        let whole = example.problem
        try pool.setThreadCount(1)
        let alone = try example.bits(backend, whole)
        for threads in [2, 3, 16] {
          try pool.setThreadCount(threads)
          let bits = try example.bits(backend, whole)
          #expect(bits == alone, "seed \(seed), \(kernels.name): \(threads) threads")
        }
        for b in 0..<whole.batch {
          for h in 0..<whole.queryHeads {
            for i in 0..<whole.queries {
              _ = try backend.attend(AttentionCase.single(whole, b, h, i), pool: pool)
            }
          }
        }
        let single = example.result(of: whole).map(\.bitPattern)
        #expect(single == alone, "seed \(seed), \(kernels.name): query by query")
        if single != alone { return }
      }
    }
  }

  @Test("up to four queries, which read in place, have the bits of many; of every head size")
  func fewQueriesAreAsMany() throws {
    let memory = AttentionCase.Memory()
    let queries = 9
    for round in 0..<160 {
      var random = RandomSource(seed: UInt64(25) << 32 | UInt64(round))
      let group = random.pick([1, 1, 2, 4])
      let keys = random.pick([1, 15, 31, 32, 33, 64, 77, 256, 257, 300])
      let width = round < 40 ? random.int(1...257) : random.pick([32, 64, 80, 96, 128])
      let valueWidth = round < 40 ? random.int(1...257) : random.pick([32, 64, 80, 128, 144])
      func filled(_ buffer: GuardedBuffer?, _ count: Int) throws -> UnsafeMutablePointer<Float> {
        let values = try #require(buffer).elements(count, filledWith: Float(0))
        for index in 0..<count { values[index] = random.float() * 2 }
        // Zeros and denormals, the largest of which round to normal numbers.
        for _ in 0..<(round % 4 == 0 ? count / 50 + 1 : 0) {
          values[random.int(0...count - 1)] =
            random.pick([0, -0.0, Float(bitPattern: 0x007f_9000), -Float(bitPattern: 0x007f_ffff)])
        }
        return values
      }
      func view(_ pointer: UnsafeMutablePointer<Float>, _ rows: Int, _ width: Int) -> HeadsView {
        HeadsView(pointer, batchStride: 0, headStride: rows * width, rowStride: width)
      }
      var whole = AttentionProblem(
        batch: 1, queryHeads: group, keyHeads: 1, queries: queries, keys: keys, width: width,
        valueWidth: valueWidth,
        query: view(try filled(memory.query, group * queries * width), queries, width),
        key: view(try filled(memory.key, keys * width), keys, width),
        value: view(try filled(memory.value, keys * valueWidth), keys, valueWidth),
        dst: view(try filled(memory.dst, group * queries * valueWidth), queries, valueWidth),
        scale: 0.2, mode: round % 3 == 0 ? .fp32 : .bf16)
      if random.chance(50) { whole.visible.causalOffset = random.int(0...keys) - queries / 2 }
      // Keys that a window hides in a block of which it shows others are read: none is bad.
      let hasWindow = random.chance(25)
      if hasWindow { whole.visible.windowOffset = random.int(0...keys) - queries }
      if random.chance(50) {
        let values = try #require(memory.mask).elements(queries * keys, filledWith: Float(0))
        for index in 0..<queries * keys {
          values[index] = random.pick([0, 0.5, -1, -.infinity])
        }
        whole.mask = AttentionMaskView(
          .added, values, batchStride: 0, headStride: 0, rowStride: keys)
      }
      if random.chance(30), !hasWindow, let offset = whole.visible.causalOffset {
        for j in max(offset + queries, 0)..<max(keys, offset + queries, 0) {
          whole.key.row(0, 0, j)[random.int(0...width - 1)] = random.pick([.nan, .infinity])
          whole.value.row(0, 0, j)[random.int(0...valueWidth - 1)] = .nan
        }
      }
      for kernels in testedKernels {
        let backend = NativeBackend(kernels: kernels)
        _ = try backend.attend(whole, pool: .shared)
        let size = group * queries * valueWidth
        let expected = (0..<size).map { whole.dst.pointer[$0].bitPattern }
        whole.dst.pointer.update(repeating: 7, count: size)
        var first = 0
        while first < queries {
          var part = whole
          part.queries = min(random.int(1...max(4 / group, 1)), queries - first)
          part.query.pointer += first * width
          part.dst.pointer += first * valueWidth
          part.visible.causalOffset = whole.visible.causalOffset.map { $0 + first }
          part.visible.windowOffset = whole.visible.windowOffset.map { $0 + first }
          if let mask = whole.mask { part.mask?.pointer = mask.row(0, 0, first) }
          _ = try backend.attend(part, pool: .shared)
          first += part.queries
        }
        let bits = (0..<size).map { whole.dst.pointer[$0].bitPattern }
        #expect(bits == expected, "\(kernels.name), round \(round): \(whole)")
        if bits != expected { return }
      }
    }
  }

  @Test("what a causal query does not see has no influence, not even as NaN or Inf")
  func hiddenKeysAreNotRead() throws {
    let memory = AttentionCase.Memory()
    for index in 0..<50 {
      let seed = UInt64(24) << 32 | UInt64(index)
      for kernels in testedKernels {
        let backend = NativeBackend(kernels: kernels)
        let example = try AttentionCase(
          seed: seed, memory: memory, mode: index % 2 == 0 ? .fp32 : .bf16, isLong: index % 3 == 0)
        var problem = example.problem
        problem.visible = VisibleKeys()
        problem.visible.causalOffset = max(problem.keys - problem.queries, 0) / 2
        let before = try example.bits(backend, problem)
        for b in 0..<problem.batch {
          for h in 0..<problem.keyHeads {
            let visible = problem.queries > 0 ? problem.limit(b, problem.queries / 2) : 0
            for j in visible..<problem.keys {
              let bad: Float = j % 2 == 0 ? .nan : .infinity
              if problem.width > 0 { problem.key.row(b, h, j)[0] = bad }
              problem.value.row(b, h, j)[0] = bad
            }
          }
        }
        let after = try example.bits(backend, problem)
        let rows = before.count / max(problem.valueWidth, 1)
        for row in 0..<rows where row % problem.queries <= problem.queries / 2 {
          let range = row * problem.valueWidth..<(row + 1) * problem.valueWidth
          #expect(before[range] == after[range], "seed \(seed), \(kernels.name): row \(row)")
        }
      }
    }
  }

  @Test("keys that a mask hides behind the last visible one change no bits")
  func trailingMask() throws {
    let memory = AttentionCase.Memory()
    for keys in [5, 64, 250, 256, 300] {
      for kernels in testedKernels {
        let backend = NativeBackend(kernels: kernels)
        let example = try AttentionCase(seed: 7, memory: memory, mode: .bf16, isLong: true)
        var random = RandomSource(seed: UInt64(keys))
        let (width, most) = (16, 600)
        let size = most * width
        let key = try #require(memory.key).elements(size, filledWith: Float(0))
        let value = try #require(memory.value).elements(size, filledWith: Float(0))
        let query = try #require(memory.query).elements(3 * width, filledWith: Float(0))
        let dst = try #require(memory.dst).elements(3 * width, filledWith: Float(0))
        let mask = try #require(memory.mask).elements(most, filledWith: -Float.infinity)
        for index in 0..<size {
          key[index] = random.float()
          value[index] = random.float()
        }
        for index in 0..<3 * width { query[index] = random.float() }
        for index in 0..<keys { mask[index] = random.float() }
        func view(_ pointer: UnsafeMutablePointer<Float>) -> HeadsView {
          HeadsView(pointer, batchStride: 0, headStride: 0, rowStride: width)
        }
        var problem = AttentionProblem(
          batch: 1, queryHeads: 1, keyHeads: 1, queries: 3, keys: keys, width: width,
          valueWidth: width, query: view(query), key: view(key), value: view(value),
          dst: view(dst), scale: 0.25, mode: .bf16)
        problem.mask = AttentionMaskView(.added, mask, batchStride: 0, headStride: 0, rowStride: 0)
        let short = try example.bits(backend, problem)
        problem.keys = most
        #expect(try example.bits(backend, problem) == short, "\(kernels.name): \(keys) keys")
      }
    }
  }

  @Test("refuses extents that do not fit")
  func errors() throws {
    let memory = AttentionCase.Memory()
    var problem = try AttentionCase(seed: 3, memory: memory, mode: .fp32).problem
    problem.keyHeads = problem.queryHeads + 1
    #expect(throws: MartletError.self) {
      try NativeBackend().attend(problem, pool: .shared)
    }
    problem.keyHeads = 1
    problem.queries = -1
    #expect(throws: MartletError.self) {
      try NativeBackend().attend(problem, pool: .shared)
    }
  }
}

extension AttentionCase {
  /// Query i of head h of batch entry b alone.
  static func single(_ whole: AttentionProblem, _ b: Int, _ h: Int, _ i: Int) -> AttentionProblem {
    var one = whole
    (one.batch, one.queryHeads, one.keyHeads, one.queries) = (1, 1, 1, 1)
    one.query.pointer = whole.query.row(b, h, i)
    one.key.pointer = whole.key.row(b, h / whole.group, 0)
    one.value.pointer = whole.value.row(b, h / whole.group, 0)
    one.dst.pointer = whole.dst.row(b, h, i)
    if let mask = whole.mask { one.mask?.pointer = mask.row(b, h, i) }
    one.visible.causalOffset = whole.visible.causalOffset.map { $0 + i }
    one.visible.windowOffset = whole.visible.windowOffset.map { $0 + i }
    one.visible.batchOffsets = whole.visible.batchOffsets.map { [$0[b]] }
    one.visible.lengths = whole.visible.lengths.map { [$0[b]] }
    return one
  }
}
