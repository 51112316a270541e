import Glibc
import MartletKernels
import Testing

@Suite("Depthwise convolution")
struct VectorsConvTests {
  /// The definition: taps column by column, one chain of multiply-adds from 0, then bias and
  /// activation.
  private func expected(
    _ shape: WindowCase, _ plane: [Float], _ weight: [Float], fused: Bool,
    _ end: (Float) -> Float
  ) -> [Float] {
    (0..<shape.outH).flatMap { y in
      (0..<shape.outW).map { x in
        var sum: Float = 0
        let taps = shape.taps(y, x).sorted { ($0.kx, $0.ky) < ($1.kx, $1.ky) }
        for tap in taps where shape.contains(tap.iy, tap.ix) {
          let (w, v) = (weight[tap.ky * shape.kerW + tap.kx], plane[tap.iy * shape.inW + tap.ix])
          sum = fused ? sum.addingProduct(w, v) : sum + w * v
        }
        return end(sum)
      }
    }
  }

  private func run(
    _ table: VectorTable, _ shape: WindowCase, _ plane: [Float], _ weight: [Float],
    _ edge: GuardedBuffer.Edge, bias: Float, act: Int32, rows: Range<Int>? = nil
  ) throws -> [Float] {
    let src = try GuardedBuffer(plane.count * 4, edge)
    let kernel = try GuardedBuffer(weight.count * 4, edge)
    let dst = try GuardedBuffer(shape.outH * shape.outW * 4, edge)
    for i in plane.indices { src.floats()[i] = plane[i] }
    for i in weight.indices { kernel.floats()[i] = weight[i] }
    let offset = try GuardedBuffer(4, edge)
    offset.floats()[0] = bias
    for i in 0..<shape.outH * shape.outW { dst.floats()[i] = 0 }
    var arguments = mk_depthwise()
    (arguments.planes, arguments.multiplier) = (1, 1)
    arguments.bias = UnsafePointer(offset.floats())
    arguments.y0 = Int64(rows?.lowerBound ?? 0)
    arguments.y1 = Int64(rows?.upperBound ?? shape.outH)
    arguments.src = UnsafePointer(src.floats())
    (arguments.in_h, arguments.in_w) = (Int64(shape.inH), Int64(shape.inW))
    arguments.weight = UnsafePointer(kernel.floats())
    (arguments.ker_h, arguments.ker_w) = (Int64(shape.kerH), Int64(shape.kerW))
    arguments.dst = dst.floats()
    (arguments.out_h, arguments.out_w) = (Int64(shape.outH), Int64(shape.outW))
    (arguments.stride_h, arguments.stride_w) = (Int64(shape.strideH), Int64(shape.strideW))
    (arguments.dil_h, arguments.dil_w) = (Int64(shape.dilH), Int64(shape.dilW))
    (arguments.pad_h, arguments.pad_w) = (Int64(shape.padH), Int64(shape.padW))
    (arguments.act, arguments.lo, arguments.hi) = (act, -0.5, 0.75)
    table.table.pointee.depthwise(&arguments)
    return (0..<shape.outH * shape.outW).map { dst.floats()[$0] }
  }

  @Test("Every shape gives the bits of the definition", arguments: VectorTable.runnable)
  func shapes(table: VectorTable) throws {
    var generator = SeededGenerator(seed: 51)
    for (index, shape) in WindowCase.all.enumerated() {
      let plane = (0..<shape.inH * shape.inW).map { _ in generator.value() }
      let weight = (0..<shape.kerH * shape.kerW).map { _ in generator.value() }
      let act = [MK_ACT_NONE, MK_ACT_RELU, MK_ACT_CLAMP][index % 3]
      let edge = GuardedBuffer.Edge.allCases[index % 2]
      let got = try run(
        table, shape, plane, weight, edge, bias: 0.125, act: Int32(act))
      let want = expected(shape, plane, weight, fused: table.fuses) { sum in
        let v = sum + 0.125
        switch act {
        case MK_ACT_RELU: return v < 0 ? 0 : v
        case MK_ACT_CLAMP: return v < -0.5 ? -0.5 : v > 0.75 ? 0.75 : v
        default: return v
        }
      }
      #expect(got == want, "\(shape)")
    }
  }

  @Test("Some rows are the same as those rows of all", arguments: VectorTable.runnable)
  func rows(table: VectorTable) throws {
    var generator = SeededGenerator(seed: 52)
    for shape in WindowCase.all where shape.outH > 2 {
      let plane = (0..<shape.inH * shape.inW).map { _ in generator.value() }
      let weight = (0..<shape.kerH * shape.kerW).map { _ in generator.value() }
      let all = try run(table, shape, plane, weight, .trailing, bias: 0.5, act: Int32(MK_ACT_NONE))
      let rows = shape.outH / 3..<shape.outH - 1
      let some = try run(
        table, shape, plane, weight, .trailing, bias: 0.5, act: Int32(MK_ACT_NONE), rows: rows)
      for y in 0..<shape.outH {
        let row = y * shape.outW..<(y + 1) * shape.outW
        let want = rows.contains(y) ? Array(all[row]) : [Float](repeating: 0, count: shape.outW)
        #expect(Array(some[row]) == want, "\(shape) row \(y)")
      }
    }
  }

  @Test("Taps outside are skipped even where a weight is infinite", arguments: VectorTable.runnable)
  func infiniteWeight(table: VectorTable) throws {
    let shape = WindowCase(inH: 9, inW: 20, padH: 1, padW: 1, padHEnd: 1, padWEnd: 1)
    let plane = [Float](repeating: 1, count: 180)
    var weight = [Float](repeating: 1, count: 9)
    weight[0] = .infinity
    let got = try run(
      table, shape, plane, weight, .trailing, bias: 0, act: Int32(MK_ACT_NONE))
    #expect(got == expected(shape, plane, weight, fused: true) { $0 })
    #expect(got[0] == 4 && got[21] == .infinity)
  }

  @Test("NaN in the plane stays where the window reaches it", arguments: VectorTable.runnable)
  func nan(table: VectorTable) throws {
    let shape = WindowCase(inH: 9, inW: 20, padH: 1, padW: 1, padHEnd: 1, padWEnd: 1)
    var plane = [Float](repeating: 1, count: 180)
    plane[4 * 20 + 10] = .nan
    for act in [MK_ACT_NONE, MK_ACT_RELU, MK_ACT_CLAMP] {
      let got = try run(
        table, shape, plane, [Float](repeating: 1, count: 9), .leading, bias: 0,
        act: Int32(act))
      for y in 0..<9 {
        for x in 0..<20 {
          #expect(got[y * 20 + x].isNaN == (abs(y - 4) <= 1 && abs(x - 10) <= 1))
        }
      }
    }
  }
}
