import MartletCore

/// Evenly spaced places, mapped by affine matrices.
package enum AffinePlaces {
  /// dst [matrices, extents, axes], float32 or float64: matrix times place, innermost coordinate first,
  /// for each place of a grid of `extents` from -1 to 1. `matrices` is float64 [matrices, axes, axes + 1];
  /// both are contiguous.
  package static func write(
    matrices: Tensor, extents: [Int], alignsCorners: Bool, into dst: Tensor, pool: ThreadPool
  ) {
    guard dst.count > 0, let width = extents.last else { return }
    let axes = extents.count
    let rows = dst.count / (width * axes)
    let rowsOfOne = extents.dropLast().reduce(1, *)
    func place(_ index: Int, _ axis: Int) -> Double {
      let extent = Double(extents[axis])
      if !alignsCorners { return (2 * Double(index) + 1) / extent - 1 }
      return extents[axis] == 1 ? 0 : 2 * Double(index) / (extent - 1) - 1
    }
    func writeRow(_ row: Int) {
      let matrix = matrices.typed(Double.self) + row / rowsOfOne * axes * (axes + 1)
      var (rest, outer) = (row % rowsOfOne, [Double]())
      // The axis next to the innermost first.
      for axis in extents.indices.dropLast().reversed() {
        outer.append(place(rest % extents[axis], axis))
        rest /= extents[axis]
      }
      for part in 0..<axes {
        let line = matrix + part * (axes + 1)
        var base = 0.0
        for (index, value) in outer.enumerated() { base += line[index + 1] * value }
        let first = row * width * axes + part
        if dst.dtype == .float64 {
          let out = dst.typed(Double.self) + first
          for x in 0..<width { out[x * axes] = line[0] * place(x, axes - 1) + base + line[axes] }
        } else {
          let out = dst.typed(Float.self) + first
          for x in 0..<width {
            out[x * axes] = Float(line[0] * place(x, axes - 1) + base + line[axes])
          }
        }
      }
    }
    guard pool.threadCount(forNanoseconds: 4 * min(dst.count, 1 << 40)) > 1 else {
      return (0..<rows).forEach(writeRow)
    }
    pool.parallelFor(rows, writeRow)
  }
}
