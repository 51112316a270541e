import MartletCore

/// Linear attention on contiguous float32 operands, a head's tokens one after another.
///
/// query [B, T, Hq, d_k], key [B, T, Hk, d_k], value [B, T, Hk, d_v]; state [B, Hk, d_k, d_v], updated;
/// dst [B, T, Hq, d_v].
package struct LinearAttentionProblem {
  package let batch: Int
  package let length: Int
  package let queryHeads: Int
  package let keyHeads: Int
  package let keyWidth: Int
  package let valueWidth: Int
  package let query: UnsafePointer<Float>
  package let key: UnsafePointer<Float>
  package let value: UnsafePointer<Float>
  package let scale: Float
  /// [B, T, Hk, decayWidth], factors of the state; nil: 1.
  package var decay: UnsafePointer<Float>?
  /// d_k, or 1: one for all rows of the state.
  package var decayWidth = 1
  /// [B, T, Hk], or [B, T]; nil: values are added as they are.
  package var beta: UnsafePointer<Float>?
  package var hasOneBeta = false

  package init(
    batch: Int, length: Int, queryHeads: Int, keyHeads: Int, keyWidth: Int, valueWidth: Int,
    query: UnsafePointer<Float>, key: UnsafePointer<Float>, value: UnsafePointer<Float>,
    scale: Float
  ) {
    self.batch = batch
    self.length = length
    self.queryHeads = queryHeads
    self.keyHeads = keyHeads
    self.keyWidth = keyWidth
    self.valueWidth = valueWidth
    self.query = query
    self.key = key
    self.value = value
    self.scale = scale
  }

  /// Columns of a state that one thread takes: they do not depend on each other.
  private static let columns = 64

  package func run(
    state: UnsafeMutablePointer<Float>, into dst: UnsafeMutablePointer<Float>, pool: ThreadPool
  ) {
    guard valueWidth > 0 else { return }
    let parts = (valueWidth + Self.columns - 1) / Self.columns
    pool.parallelFor(batch * keyHeads * parts) { item in
      let (head, part) = item.quotientAndRemainder(dividingBy: parts)
      let first = part * Self.columns
      run(
        head / keyHeads, head % keyHeads, first..<min(first + Self.columns, valueWidth),
        state: state + head * keyWidth * valueWidth, into: dst)
    }
  }

  /// The tokens of one head, as far as these columns of its state go.
  private func run(
    _ row: Int, _ head: Int, _ columns: Range<Int>, state: UnsafeMutablePointer<Float>,
    into dst: UnsafeMutablePointer<Float>
  ) {
    let (n, group) = (columns.count, queryHeads / keyHeads)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: Self.columns) { buffer in
      guard let update = buffer.baseAddress else { return }
      for time in 0..<length {
        let token = row * length + time
        let place = token * keyHeads + head
        let k = key + place * keyWidth
        let v = value + (place * valueWidth + columns.lowerBound)
        if let decay {
          let factors = decay + place * decayWidth
          for i in 0..<keyWidth {
            let line = state + (i * valueWidth + columns.lowerBound)
            let factor = factors[decayWidth == 1 ? 0 : i]
            for j in 0..<n { line[j] *= factor }
          }
        }
        update.update(from: v, count: n)
        if let beta {
          for i in 0..<keyWidth {
            let line = state + (i * valueWidth + columns.lowerBound)
            let weight = k[i]
            for j in 0..<n { update[j] -= line[j] * weight }
          }
          let rate = beta[hasOneBeta ? token : place]
          for j in 0..<n { update[j] *= rate }
        }
        for i in 0..<keyWidth {
          let line = state + (i * valueWidth + columns.lowerBound)
          let weight = k[i]
          for j in 0..<n { line[j] += update[j] * weight }
        }
        for member in 0..<group {
          let index = token * queryHeads + head * group + member
          let q = query + index * keyWidth
          let target = dst + (index * valueWidth + columns.lowerBound)
          target.update(repeating: 0, count: n)
          for i in 0..<keyWidth {
            let line = state + (i * valueWidth + columns.lowerBound)
            let weight = q[i] * scale
            for j in 0..<n { target[j] += line[j] * weight }
          }
        }
      }
    }
  }
}
