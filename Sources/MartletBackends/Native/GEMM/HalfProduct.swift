import MartletCore
import MartletKernels

/// Products of float16: operands are widened to f32, multiplied there, and the result is rounded once.
struct HalfProduct {
  private let problem: GEMMProblem
  private let kernels: KernelSet

  init(_ problem: GEMMProblem, kernels: KernelSet) throws(MartletError) {
    guard problem.packedRHS == nil else {
      throw MartletError(.invalidDType, "matmul: a packed rhs is f32 or bf16, not float16")
    }
    self.problem = problem
    self.kernels = kernels
  }

  func run(on pool: ThreadPool) throws(MartletError) -> Execution {
    let fold = BatchFold(problem)
    let folded = fold.problem
    var execution = Execution(backend: "native", kernel: "", precision: "fp32")
    let lhs = try Storage(byteCount: try Shape.byteCount([folded.m, folded.k], .float32))
    let rhs = try Storage(byteCount: try Shape.byteCount([folded.k, folded.n], .float32))
    let dst = try Storage(byteCount: try Shape.byteCount([folded.m, folded.n], .float32))
    defer { withExtendedLifetime((lhs, rhs, dst)) {} }
    for index in 0..<fold.count {
      let offsets = fold.offsets(index)
      widen(folded.lhs, offsets.lhs, folded.m, folded.k, into: lhs)
      if index == 0 || !fold.sharesRHS {
        widen(folded.rhs, offsets.rhs, folded.k, folded.n, into: rhs)
      }
      var single = GEMMProblem(
        m: folded.m, n: folded.n, k: folded.k,
        lhs: MatrixView(lhs.base, .float32, rowStride: folded.k),
        rhs: MatrixView(rhs.base, .float32, rowStride: folded.n),
        dst: MatrixView(dst.base, .float32, rowStride: folded.n), mode: .fp32)
      single.epilogue = folded.epilogue
      if let residual = single.epilogue.residual {
        single.epilogue.residual?.pointer = residual.pointer + offsets.residual * 4
      }
      execution = try FloatProduct(single, kernels: kernels).run(on: pool)
      for i in 0..<folded.m {
        let row = folded.dst.pointer + (offsets.dst + i * folded.dst.rowStride) * 2
        kernels.vectors.table.f32_to_f16(
          Int64(folded.n), dst.base.assumingMemoryBound(to: Float.self) + i * folded.n,
          row.assumingMemoryBound(to: UInt16.self))
      }
    }
    if problem.mode != .fp32 { execution.reason = "float16 inputs run in fp32" }
    return execution
  }

  /// Copies a strided f16 matrix to contiguous f32.
  private func widen(
    _ view: MatrixView, _ offset: Int, _ rows: Int, _ columns: Int, into storage: Storage
  ) {
    let source = view.pointer.assumingMemoryBound(to: UInt16.self) + offset
    let target = storage.base.assumingMemoryBound(to: Float.self)
    let isContiguous = view.columnStride == 1
    for i in 0..<rows {
      let from = source + i * view.rowStride
      let to = target + i * columns
      if isContiguous {
        kernels.vectors.table.f16_to_f32(Int64(columns), from, to)
      } else {
        for j in 0..<columns {
          kernels.vectors.table.f16_to_f32(1, from + j * view.columnStride, to + j)
        }
      }
    }
  }
}
