import Glibc
import MartletCore

extension ReferenceBackend: AttentionProvider {
  /// Attention by its definition in float64: the elements of dst, row-major [B, Hq, L, Ev].
  ///
  /// Where magnitudes are summed, each element is the sum of weight * |value|.
  package func attention(_ problem: AttentionProblem) -> [Double] {
    let p = problem
    let rounds = roundsToBF16 && p.mode.permitsBF16
    func used(_ value: Float) -> Double {
      rounds ? BFloat16.rounded(Double(value)) : Double(value)
    }
    var result: [Double] = []
    for b in 0..<p.batch {
      for h in 0..<p.queryHeads {
        let keyHead = h / p.group
        for i in 0..<p.queries {
          let query = p.query.row(b, h, i)
          let window = p.window(b, i)
          var scores: [Double] = []
          for j in window {
            let key = p.key.row(b, keyHead, j)
            var sum = 0.0
            for e in 0..<p.width {
              sum += used(query[e * p.query.columnStride]) * used(key[e * p.key.columnStride])
            }
            scores.append(masked(Double(p.scale) * sum, p, b, h, i, j))
          }
          let top = scores.max() ?? -.infinity
          let weights = scores.map { exp($0 - top) }
          let total = weights.reduce(0, +)
          let isZero =
            switch p.empty {
            case .zero: scores.allSatisfy { $0 == -.infinity }
            case .nan: p.keys == 0
            case .alwaysZero: !(total > 0)
            }
          for e in 0..<p.valueWidth {
            var sum = 0.0
            for (j, weight) in zip(window, weights) {
              let value = used(p.value.row(b, keyHead, j)[e * p.value.columnStride])
              sum += weight * (sumsMagnitudes ? abs(value) : value)
            }
            result.append(isZero ? 0 : sum / total)
          }
        }
      }
    }
    return result
  }

  package func attend(
    _ problem: AttentionProblem, pool: ThreadPool
  ) throws(MartletError) -> Execution {
    try problem.validate()
    var rest = attention(problem)[...]
    for b in 0..<problem.batch {
      for h in 0..<problem.queryHeads {
        for i in 0..<problem.queries {
          let row = problem.dst.row(b, h, i)
          for (e, value) in rest.prefix(problem.valueWidth).enumerated() { row[e] = Float(value) }
          rest = rest.dropFirst(problem.valueWidth)
        }
      }
    }
    return execution(rounds: roundsToBF16 && problem.mode.permitsBF16, problem.mode)
  }

  /// A score with the cap and the mask.
  private func masked(
    _ score: Double, _ p: AttentionProblem, _ b: Int, _ h: Int, _ i: Int, _ j: Int
  ) -> Double {
    let cap = Double(p.softcap)
    let capped = cap > 0 ? cap * tanh(score / cap) : score
    guard let mask = p.mask else { return capped }
    let row = mask.row(b, h, i)
    switch mask.kind {
    case .added:
      let added = Double(row.assumingMemoryBound(to: Float.self)[j])
      return added == -.infinity ? added : capped + added
    case .shown: return row.assumingMemoryBound(to: UInt8.self)[j] == 0 ? -.infinity : capped
    }
  }
}
