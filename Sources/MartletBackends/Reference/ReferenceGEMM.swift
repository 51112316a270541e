import Glibc
import MartletCore

/// The oracle: the definition of every problem as loops, summed in float64, or exactly in integers.
///
/// Under a mode that permits bf16, f32 inputs are rounded to bf16 first where `roundsToBF16` says so.
package struct ReferenceBackend: ProductProvider {
  /// Whether f32 inputs are rounded to bf16 under a mode that permits it.
  package let roundsToBF16: Bool

  /// Whether |a b| is summed in the place of a b, for error bounds.
  package let sumsMagnitudes: Bool

  package init(roundsToBF16: Bool = false, sumsMagnitudes: Bool = false) {
    self.roundsToBF16 = roundsToBF16
    self.sumsMagnitudes = sumsMagnitudes
  }

  package var name: String { "reference" }

  package func supports(_ problem: GEMMProblem) -> Bool {
    problem.packedRHS == nil && problem.lhs.dtype.isFloatingPoint
  }

  package func run(_ problem: GEMMProblem, pool: ThreadPool) throws(MartletError) -> Execution {
    try problem.validate()
    guard supports(problem) else {
      throw MartletError(.unsupported, "reference: packed or integer operands")
    }
    return execution(rounds: compute(problem), problem.mode)
  }

  /// What work under `mode` ran as whose inputs were rounded to bf16 or not.
  func execution(rounds: Bool, _ mode: MathMode) -> Execution {
    Execution(
      backend: name, kernel: "loops", precision: rounds ? "bf16" : "fp64",
      reason: mode.permitsBF16 && !rounds ? "the reference computes in fp64" : "")
  }

  /// The product without its checks: dst may be of any floating-point type. Returns whether the
  /// inputs were rounded to bf16.
  @discardableResult
  package func compute(_ problem: GEMMProblem) -> Bool {
    let rounds =
      roundsToBF16 && problem.mode.permitsBF16 && problem.lhs.dtype == .float32
    let (m, n, k) = (problem.m, problem.n, problem.k)
    for index in batchOffsets(problem.batch) {
      let lhs = problem.lhs.elements(index.lhs, m, k, map: transform(rounds))
      let rhs = problem.rhs.elements(index.rhs, k, n, map: transform(rounds))
      for i in 0..<m {
        for j in 0..<n {
          var sum = 0.0
          lhs.withUnsafeBufferPointer { lhs in
            rhs.withUnsafeBufferPointer { rhs in
              for p in 0..<k { sum += lhs[i * k + p] * rhs[p * n + j] }
            }
          }
          let value = problem.epilogue.apply(
            sum, i: i, j: j, residualOffset: index.residual)
          problem.dst.store(value, index.dst, i, j)
        }
      }
    }
    return rounds
  }

  private func transform(_ rounds: Bool) -> (Double) -> Double {
    let isMagnitude = sumsMagnitudes
    return { value in
      let used = rounds ? BFloat16.rounded(value) : value
      return isMagnitude ? abs(used) : used
    }
  }

  private func batchOffsets(
    _ axes: [BatchAxis]
  ) -> [(lhs: Int, rhs: Int, dst: Int, residual: Int)] {
    var offsets = [(lhs: 0, rhs: 0, dst: 0, residual: 0)]
    for axis in axes {
      offsets = offsets.flatMap { start in
        (0..<axis.count).map { step in
          (
            start.lhs + step * axis.lhsStride, start.rhs + step * axis.rhsStride,
            start.dst + step * axis.dstStride, start.residual + step * axis.residualStride
          )
        }
      }
    }
    return offsets
  }
}

/// bfloat16 by its definition: the upper half of a float32.
package enum BFloat16 {
  /// The bits of `value` rounded to nearest even; a NaN is quieted and keeps its sign.
  package static func bits(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
    return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16)
  }

  package static func value(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

  package static func rounded(_ value: Double) -> Double {
    Double(BFloat16.value(bits(Float(value))))
  }
}

extension MatrixView {
  /// Element (i, j) of a matrix `offset` elements further on.
  fileprivate func element(_ offset: Int, _ i: Int, _ j: Int) -> Double {
    let index = offset + i * rowStride + j * columnStride
    switch dtype {
    case .float64: return pointer.assumingMemoryBound(to: Double.self)[index]
    case .bfloat16:
      return Double(BFloat16.value(pointer.assumingMemoryBound(to: UInt16.self)[index]))
    case .float16:
      let bits = pointer.assumingMemoryBound(to: UInt16.self)[index]
      return Double(Float16(bitPattern: bits))
    default: return Double(pointer.assumingMemoryBound(to: Float.self)[index])
    }
  }

  /// All elements, row-major.
  fileprivate func elements(
    _ offset: Int, _ rows: Int, _ columns: Int, map: (Double) -> Double
  ) -> [Double] {
    var result: [Double] = []
    result.reserveCapacity(rows * columns)
    for i in 0..<rows {
      for j in 0..<columns {
        result.append(map(element(offset, i, j)))
      }
    }
    return result
  }

  fileprivate func store(_ value: Double, _ offset: Int, _ i: Int, _ j: Int) {
    let index = offset + i * rowStride + j * columnStride
    switch dtype {
    case .float64: pointer.assumingMemoryBound(to: Double.self)[index] = value
    case .bfloat16:
      pointer.assumingMemoryBound(to: UInt16.self)[index] = BFloat16.bits(Float(value))
    case .float16:
      pointer.assumingMemoryBound(to: UInt16.self)[index] = Float16(value).bitPattern
    default: pointer.assumingMemoryBound(to: Float.self)[index] = Float(value)
    }
  }
}

extension UnaryFunction {
  /// The function by its definition, in float64.
  package func apply(_ x: Double) -> Double {
    switch self {
    case .relu: return x.isNaN ? x : max(x, 0)
    case .gelu: return x / 2 * (1 + Glibc.erf(x * 0.5.squareRoot()))
    case .geluTanh:
      return x / 2 * (1 + Glibc.tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    case .silu: return x / (1 + Glibc.exp(-x))
    case .tanh: return Glibc.tanh(x)
    case .sigmoid: return 1 / (1 + Glibc.exp(-x))
    case .hardSwish: return x * min(max(x / 6 + 0.5, 0), 1)
    case .clamp(let lo, let hi): return x.isNaN ? x : min(max(x, Double(lo)), Double(hi))
    case .leakyRelu(let slope): return x < 0 ? Double(slope) * x : x
    case .hardSigmoid(let alpha, let beta):
      return x.isNaN ? x : min(max(Double(alpha) * x + Double(beta), 0), 1)
    default:
      var result = 0.0
      withUnsafePointer(to: x) { RealUnary.run(self, 1, $0, &result) }
      return result
    }
  }
}
