import MartletKernels
import Testing

@Suite("Pooling")
struct VectorsPoolTests {
  private func run(
    _ table: VectorTable, _ shape: WindowCase, _ plane: [Float], _ edge: GuardedBuffer.Edge,
    isMax: Bool, countsPadding: Bool
  ) throws -> [Float] {
    let src = try GuardedBuffer(plane.count * 4, edge)
    let dst = try GuardedBuffer(shape.outH * shape.outW * 4, edge)
    for i in plane.indices { src.floats()[i] = plane[i] }
    var arguments = mk_pool2d()
    arguments.planes = 1
    arguments.src = UnsafePointer(src.floats())
    (arguments.in_h, arguments.in_w) = (Int64(shape.inH), Int64(shape.inW))
    arguments.dst = dst.floats()
    (arguments.out_h, arguments.out_w) = (Int64(shape.outH), Int64(shape.outW))
    (arguments.ker_h, arguments.ker_w) = (Int64(shape.kerH), Int64(shape.kerW))
    (arguments.stride_h, arguments.stride_w) = (Int64(shape.strideH), Int64(shape.strideW))
    (arguments.dil_h, arguments.dil_w) = (Int64(shape.dilH), Int64(shape.dilW))
    (arguments.pad_h, arguments.pad_w) = (Int64(shape.padH), Int64(shape.padW))
    (arguments.pad_h_end, arguments.pad_w_end) = (Int64(shape.padHEnd), Int64(shape.padWEnd))
    (arguments.is_max, arguments.count_include_pad) = (isMax, countsPadding)
    table.table.pointee.pool2d(&arguments)
    return (0..<shape.outH * shape.outW).map { dst.floats()[$0] }
  }

  @Test("Maxima of every shape are exact, NaN included", arguments: VectorTable.runnable)
  func maxima(table: VectorTable) throws {
    var generator = SeededGenerator(seed: 61)
    for (index, shape) in WindowCase.all.enumerated() {
      var plane = (0..<shape.inH * shape.inW).map { _ in generator.value() }
      if index % 4 == 0 { plane[plane.count / 2] = .nan }
      let got = try run(
        table, shape, plane, GuardedBuffer.Edge.allCases[index % 2], isMax: true,
        countsPadding: false)
      for y in 0..<shape.outH {
        for x in 0..<shape.outW {
          let values = shape.taps(y, x).filter { shape.contains($0.iy, $0.ix) }
            .map { plane[$0.iy * shape.inW + $0.ix] }
          let value = got[y * shape.outW + x]
          if values.contains(where: { $0.isNaN }) {
            #expect(value.isNaN, "\(shape) at \(y), \(x)")
          } else {
            #expect(value == values.max() ?? -.infinity, "\(shape) at \(y), \(x)")
          }
        }
      }
    }
  }

  @Test(
    "Averages divide by the taps that count", arguments: VectorTable.runnable, [false, true])
  func averages(table: VectorTable, countsPadding: Bool) throws {
    var generator = SeededGenerator(seed: 62)
    for (index, shape) in WindowCase.all.enumerated() {
      let plane = (0..<shape.inH * shape.inW).map { _ in generator.value() }
      let got = try run(
        table, shape, plane, GuardedBuffer.Edge.allCases[index % 2], isMax: false,
        countsPadding: countsPadding)
      for y in 0..<shape.outH {
        for x in 0..<shape.outW {
          let taps = shape.taps(y, x)
          let sum = taps.filter { shape.contains($0.iy, $0.ix) }
            .reduce(0.0) { $0 + Double(plane[$1.iy * shape.inW + $1.ix]) }
          let count = taps.filter {
            countsPadding
              ? $0.iy < shape.inH + shape.padHEnd && $0.ix < shape.inW + shape.padWEnd
              : shape.contains($0.iy, $0.ix)
          }.count
          let value = Double(got[y * shape.outW + x])
          if count == 0 {
            #expect(value.isNaN)
          } else {
            #expect(abs(value - sum / Double(count)) <= 4e-6, "\(shape) at \(y), \(x)")
          }
        }
      }
    }
  }
}
