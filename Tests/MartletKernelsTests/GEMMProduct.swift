import MartletKernels
import Testing

/// The parts of an epilogue that a case uses.
struct EpilogueChoice: OptionSet, Sendable {
  let rawValue: Int
  static let alpha = EpilogueChoice(rawValue: 1)
  static let biasN = EpilogueChoice(rawValue: 2)
  static let biasM = EpilogueChoice(rawValue: 4)
  static let residual = EpilogueChoice(rawValue: 8)
  static let relu = EpilogueChoice(rawValue: 16)
  static let clamp = EpilogueChoice(rawValue: 32)
  static let residualIsDestination = EpilogueChoice(rawValue: 64)
}

/// One product with every operand against a forbidden page, and what float64 says it should be.
final class GEMMProduct {
  let row: KernelRow
  let m, n, k: Int
  let lhsStride, dstStride, residualStride: Int
  let lhs, rhs, dst, panels, biasN, biasM, residual: GuardedBuffer
  private(set) var lhsValues: [Float]
  private(set) var rhsValues: [Float]
  let seed: UInt64

  /// `padding`: elements between the rows of lhs, dst and residual, filled with NaN.
  init(
    _ row: KernelRow, m: Int, n: Int, k: Int, padding: Int = 0,
    edge: GuardedBuffer.Edge = .trailing, seed: UInt64 = 1,
    adjust: (inout [Float], inout [Float]) -> Void = { _, _ in }
  ) throws {
    (self.row, self.m, self.n, self.k, self.seed) = (row, m, n, k, seed)
    lhsStride = (k + padding) * row.lhsBytes
    dstStride = (n + padding) * row.dstBytes
    residualStride = (n + padding) * 4
    func span(_ rows: Int, _ stride: Int, _ last: Int) -> Int {
      rows == 0 ? 0 : (rows - 1) * stride + last
    }
    lhs = try GuardedBuffer(span(m, lhsStride, k * row.lhsBytes), edge)
    dst = try GuardedBuffer(span(m, dstStride, n * row.dstBytes), edge)
    residual = try GuardedBuffer(span(m, residualStride, n * 4), edge)
    rhs = try GuardedBuffer(k * n * 4, edge)
    panels = try GuardedBuffer(row.panels(n) * row.panelBytes(k), edge)
    biasN = try GuardedBuffer(n * 4, edge)
    biasM = try GuardedBuffer(m * 4, edge)

    var random = SeededGenerator(seed: seed)
    lhsValues = (0..<m * k).map { _ in random.value() }
    rhsValues = (0..<k * n).map { _ in random.value() }
    adjust(&lhsValues, &rhsValues)
    for i in 0..<k * n { rhs.floats()[i] = rhsValues[i] }
    for i in 0..<n { biasN.floats()[i] = random.value() }
    for i in 0..<m { biasM.floats()[i] = random.value() }
    for i in 0..<m {
      for j in 0..<n {
        (residual.bytes + i * residualStride).assumingMemoryBound(to: Float.self)[j] =
          random.value()
      }
      for p in 0..<k {
        let at = lhs.bytes + i * lhsStride + p * row.lhsBytes
        if row.isBF16 {
          let half = roundedToBF16(lhsValues[i * k + p])
          at.storeBytes(of: half, as: UInt16.self)
          lhsValues[i * k + p] = widened(half)
        } else {
          at.storeBytes(of: lhsValues[i * k + p], as: Float.self)
        }
      }
    }
    if row.isBF16 { rhsValues = rhsValues.map { widened(roundedToBF16($0)) } }
    var pack = mk_pack_rhs(
      k: Int64(k), n: Int64(n), src: UnsafeRawPointer(rhs.bytes), k_stride: Int64(n * 4),
      n_stride: 4, dst: panels.bytes, dst_panel_stride: Int64(row.panelBytes(k)))
    row.row.pointee.pack_rhs_f32(&pack)
  }

  private func epilogue(_ choice: EpilogueChoice, row i: Int, column j: Int) -> mk_epilogue {
    var e = mk_epilogue()
    e.alpha = choice.contains(.alpha) ? 0.75 : 1
    e.beta = 0.5
    if choice.contains(.biasN) { e.bias_n = UnsafePointer(biasN.floats() + j) }
    if choice.contains(.biasM) { e.bias_m = UnsafePointer(biasM.floats() + i) }
    if choice.contains(.residual) {
      let aliased = choice.contains(.residualIsDestination)
      let stride = aliased ? dstStride : residualStride
      let base = (aliased ? dst.bytes : residual.bytes) + i * stride + j * 4
      e.residual = UnsafePointer(base.assumingMemoryBound(to: Float.self))
      e.residual_stride = Int64(stride)
    }
    e.act =
      Int32(choice.contains(.relu) ? MK_ACT_RELU : choice.contains(.clamp) ? MK_ACT_CLAMP : 0)
    (e.lo, e.hi) = (-0.25, 0.5)
    return e
  }

  /// Through tiles of at most mRows x nColumns over slices of `slice` of k; returns the result.
  func tiled(
    mRows: Int, slice: Int, choice: EpilogueChoice? = nil, accumulateInDestination: Bool = false
  ) throws -> [UInt32] {
    let sums = try GuardedBuffer(m * n * 4, .trailing)
    for i in stride(from: 0, to: m, by: mRows) {
      for j in stride(from: 0, to: n, by: row.nr) {
        var p = 0
        repeat {
          let depth = min(slice, k - p)
          var e = epilogue(choice ?? [], row: i, column: j)
          var tile = mk_gemm_tile()
          (tile.m, tile.n) = (Int64(min(mRows, m - i)), Int64(min(row.nr, n - j)))
          tile.k = Int64(depth)
          tile.lhs = UnsafeRawPointer(lhs.bytes + i * lhsStride + p * row.lhsBytes)
          tile.lhs_stride = Int64(lhsStride)
          tile.rhs = UnsafeRawPointer(
            panels.bytes + j / row.nr * row.panelBytes(k) + p / row.kr * row.nr * 4)
          tile.dst = dst.bytes + i * dstStride + j * row.dstBytes
          tile.dst_stride = Int64(dstStride)
          if accumulateInDestination {
            tile.acc = tile.dst.assumingMemoryBound(to: Float.self)
            tile.acc_stride = tile.dst_stride
          } else {
            tile.acc = sums.floats() + i * n + j
            tile.acc_stride = Int64(n * 4)
          }
          tile.flags =
            UInt32(p == 0 ? MK_FIRST_K : 0) | UInt32(p + depth == k ? MK_LAST_K : 0)
          withUnsafePointer(to: &e) { pointer in
            tile.epilogue = choice == nil ? nil : pointer
            row.configured { row.row.pointee.tile(&tile) }
          }
          p += depth
        } while p < k
      }
    }
    return result()
  }

  func streamed(choice: EpilogueChoice? = nil) -> [UInt32] {
    var e = epilogue(choice ?? [], row: 0, column: 0)
    var stream = mk_gemm_stream()
    (stream.m, stream.n, stream.k) = (Int64(m), Int64(n), Int64(k))
    stream.lhs = UnsafeRawPointer(lhs.bytes)
    stream.lhs_stride = Int64(lhsStride)
    stream.rhs = UnsafeRawPointer(panels.bytes)
    stream.rhs_panel_stride = Int64(row.panelBytes(k))
    stream.dst = dst.bytes
    stream.dst_stride = Int64(dstStride)
    withUnsafePointer(to: &e) { pointer in
      stream.epilogue = choice == nil ? nil : pointer
      row.configured { row.row.pointee.stream(&stream) }
    }
    return result()
  }

  /// The bits of dst, and a check that what lies between its rows is as it was.
  private func result() -> [UInt32] {
    var bits: [UInt32] = []
    bits.reserveCapacity(m * n)
    for i in 0..<m {
      for j in 0..<n {
        let at = dst.bytes + i * dstStride + j * row.dstBytes
        bits.append(
          row.storesBF16
            ? UInt32(at.load(as: UInt16.self)) << 16 : at.load(as: UInt32.self))
      }
      if i + 1 < m {
        let between = (n * row.dstBytes)..<dstStride
        let clean = between.allSatisfy {
          (dst.bytes + i * dstStride).load(fromByteOffset: $0, as: UInt8.self) == 0xff
        }
        #expect(clean, "\(row.testDescription) wrote between rows of dst")
      }
    }
    return bits
  }

  /// Fills dst with the residual's values, for a residual that is the destination.
  func copyResidualToDestination() {
    for i in 0..<m {
      for j in 0..<n {
        let value = (residual.bytes + i * residualStride).load(
          fromByteOffset: j * 4, as: Float.self)
        (dst.bytes + i * dstStride).storeBytes(of: value, toByteOffset: j * 4, as: Float.self)
      }
    }
  }

  /// The largest error against float64 over its bound, and where: at most 1 when all is well.
  func worstError(_ bits: [UInt32], choice: EpilogueChoice? = nil) -> Double {
    var worst = 0.0
    let e = choice ?? []
    for i in 0..<m {
      for j in 0..<n {
        var sum = 0.0
        var size = 0.0
        for p in 0..<k {
          let product = Double(lhsValues[i * k + p]) * Double(rhsValues[p * n + j])
          sum += product
          size += abs(product)
        }
        if e.contains(.alpha) { sum *= 0.75 }
        if e.contains(.biasN) { sum += Double(biasN.floats()[j]) }
        if e.contains(.biasM) { sum += Double(biasM.floats()[i]) }
        if e.contains(.residual) {
          sum +=
            0.5
            * Double(
              (residual.bytes + i * residualStride).load(fromByteOffset: j * 4, as: Float.self))
        }
        if e.contains(.relu) { sum = max(sum, 0) }
        if e.contains(.clamp) { sum = min(max(sum, -0.25), 0.5) }
        var bound = 2 * Double(k + 4) * 0x1p-24 * (size + 3) + 0x1p-126
        if row.storesBF16 { bound += abs(sum) * 0x1p-8 }
        let error = abs(Double(Float(bitPattern: bits[i * n + j])) - sum)
        worst = max(worst, error.isNaN ? .infinity : error / bound)
      }
    }
    return worst
  }
}
