import Glibc
import MartletKernels

extension Tensor {
  /// Turns a matrix of 4-byte elements: columns of its source are rows of `dst`. Strides are bytes from
  /// a row to the next.
  package typealias Turning =
    @convention(c) (
      _ rows: Int64, _ columns: Int64, _ src: UnsafeRawPointer?, _ srcStride: Int64,
      _ dst: UnsafeMutableRawPointer?, _ dstStride: Int64
    ) -> Void

  /// Elements that one thread copies at a time.
  private static let copyGrain = 1 << 16

  /// Copies the elements into `destination`, of the same dtype and shape and any strides, whose
  /// texts are whole then: it is all of its memory that is written to.
  ///
  /// The caller has checked dtype and shape; the two do not overlap.
  package func copyElements(to destination: Tensor, on pool: ThreadPool? = nil) {
    moveElements(to: destination, on: pool)
    if count > 0 { destination.storage.texts?.seal() }
  }

  /// `copyElements` into a part of what is being written.
  ///
  /// Rows that are contiguous in both are block copies; an axis that is contiguous here alone is
  /// turned in tiles, by `turn` where it is given. `pool` shares the work.
  package func moveElements(
    to destination: Tensor, on pool: ThreadPool?, turn: Turning? = nil
  ) {
    guard count > 0 else { return }
    let from = UnsafeRawPointer(pointer)
    let to = destination.pointer
    // Packed elements have one order only.
    if dtype.isPacked || (pool == nil && isContiguous && destination.isContiguous) {
      memcpy(to, from, byteCount)
      return
    }
    let size = dtype.wholeByteCount
    var loop = StridedLoop(shape, destination, self)
    if loop.innerStrides[0] == size && loop.innerStrides[1] != size {
      // The source runs along another axis: bring it next to the innermost, to be turned in tiles.
      if let axis = loop.strides.indices.dropLast().last(where: { loop.strides[$0][1] == size }) {
        loop.moveNextToInnermost(axis)
      }
    }
    let inner = loop.innerStrides
    let rowStep = loop.strides.count > 1 ? loop.strides[loop.strides.count - 2] : SIMD4<Int>()
    let isTurned = size == 4 && rowStep[1] == 4 && inner[0] == 4 && inner[1] != 4
    loop.runBlocks(on: pool, grain: Tensor.copyGrain) { offsets, rows, columns in
      let source = from + offsets[1]
      let target = to + offsets[0]
      if isTurned, let turn, rows > 3, columns > 3 {
        // Its rows are those of its source: our columns.
        turn(
          Int64(columns), Int64(rows), source, Int64(inner[1]), target, Int64(rowStep[0]))
        return
      }
      mk_copy_2d(
        Int32(size), Int64(rows), Int64(columns), source, Int64(rowStep[1]), Int64(inner[1]),
        target, Int64(rowStep[0]), Int64(inner[0]))
    }
  }

  /// A contiguous copy in memory of its own.
  package func copied() throws(MartletError) -> Tensor {
    let result = try Tensor(uninitialized: dtype, shape)
    copyElements(to: result)
    return result
  }

  /// Whether the elements lie at multiples of their size.
  package var isAligned: Bool { UInt(bitPattern: pointer) % UInt(dtype.alignment) == 0 }

  /// The addresses that the elements occupy, lowest and one past the highest; nil when empty.
  package var addressRange: Range<UInt>? {
    guard count > 0 else { return nil }
    let start = UInt(bitPattern: pointer)
    if isContiguous { return start..<start &+ UInt(byteCount) }
    let size = dtype.wholeByteCount
    var (low, high) = (0, size)
    for (extent, stride) in zip(shape, strides) {
      let span = (extent - 1) * stride * size
      if span < 0 { low += span } else { high += span }
    }
    return start &+ UInt(bitPattern: low)..<start &+ UInt(bitPattern: high)
  }

  /// Lets go of the memory of a constant in a mapped file until somebody reads it.
  package func letGoOfPages() {
    guard let range = addressRange else { return }
    let start = UInt(bitPattern: storage.base)
    storage.letGo(of: Int(range.lowerBound - start)..<Int(range.upperBound - start))
  }

  /// Whether the elements of both, of one shape and dtype, lie at the same places.
  package func isSameView(as other: Tensor) -> Bool {
    storage === other.storage && byteOffset == other.byteOffset && strides == other.strides
  }
}
