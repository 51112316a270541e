import MartletCore

/// Numbers as unsigned integers in the same order: what is sorted and compared in their place.
package enum SortKeys {
  /// The key of each element of `src`, contiguous and of a type to compute in: equal for equal elements
  /// (zeros of either sign are), ascending as they do, the greatest for what is no number.
  package static func write(_ src: Tensor, into keys: UnsafeMutablePointer<UInt64>) {
    src.dtype.visit(KeyWriter(count: src.count, src: src.pointer, keys: keys))
  }

  /// 0..<count in the order of their keys, equal ones in their own; `spare` has room for as many keys and
  /// places, twice. Complexity: linear, one pass for each byte in which keys differ.
  package static func order(
    _ keys: UnsafePointer<UInt64>, _ count: Int, into places: UnsafeMutablePointer<Int64>,
    spare: UnsafeMutablePointer<UInt64>
  ) {
    var (from, to) = (spare, spare + 2 * count)
    let first = count > 0 ? keys[0] : 0
    var differing = UInt64(0)
    for i in 0..<count {
      from[2 * i] = keys[i]
      from[2 * i + 1] = UInt64(i)
      differing |= keys[i] ^ first
    }
    withUnsafeTemporaryAllocation(of: Int.self, capacity: 256) { starts in
      for shift in stride(from: UInt64(0), to: 64, by: 8) where differing >> shift & 255 != 0 {
        starts.update(repeating: 0)
        for i in 0..<count { starts[Int(from[2 * i] >> shift & 255)] += 1 }
        var next = 0
        for digit in 0..<256 {
          (starts[digit], next) = (next, next + starts[digit])
        }
        for i in 0..<count {
          let digit = Int(from[2 * i] >> shift & 255)
          let place = starts[digit]
          starts[digit] = place + 1
          to[2 * place] = from[2 * i]
          to[2 * place + 1] = from[2 * i + 1]
        }
        swap(&from, &to)
      }
    }
    for i in 0..<count { places[i] = Int64(bitPattern: from[2 * i + 1]) }
  }
}

private struct KeyWriter: ElementVisitor {
  let count: Int
  let src: UnsafeMutableRawPointer
  let keys: UnsafeMutablePointer<UInt64>

  func visit<T: Element>(_: T.Type) {
    let source = src.assumingMemoryBound(to: T.self)
    let sign = UInt64(1) << 63
    if T.isReal {
      for i in 0..<count {
        let value = source[i].asDouble
        let bits = value == 0 ? 0 : value.bitPattern
        keys[i] = value.isNaN ? .max : bits & sign != 0 ? ~bits : bits | sign
      }
    } else {
      let offset = T.lowest == T.zero ? 0 : sign
      for i in 0..<count { keys[i] = UInt64(bitPattern: source[i].asInt64) ^ offset }
    }
  }
}
