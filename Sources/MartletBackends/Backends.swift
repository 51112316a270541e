import Glibc
import MartletCore
import MartletPlatform
import Synchronization

/// The way to matrix products, convolutions, attention, integer products and recurrent layers.
///
/// Native kernels run everything unless another backend is asked for, by `use` or by
/// `MARTLET_BACKEND` in the environment; a problem that it does not support stays native.
package enum Backends {
  /// The backends by name.
  package static let names = ["native", "reference", "openblas"]

  /// Multiplies. `dst` must not overlap lhs or rhs.
  ///
  /// - Throws: `invalidShape`, `invalidDType`, `invalidState` for a packed rhs of another mode,
  ///   `outOfMemory`.
  /// - Complexity: 2·M·N·K floating-point operations per matrix.
  package static func run(
    _ problem: GEMMProblem, pool: ThreadPool = .shared
  ) throws(MartletError) -> Execution {
    if let backend = try preferredBackend(), let preferred = backend as? any ProductProvider,
      preferred.supports(problem)
    {
      return try preferred.run(problem, pool: pool)
    }
    return try native.run(problem, pool: pool)
  }

  /// `problem` for many runs on the same memory; nil where `run` does as well.
  static func prepare(_ problem: GEMMProblem, pool: ThreadPool) throws(MartletError)
    -> SmallProduct.Prepared?
  {
    try preferredBackend() == nil ? try native.prepare(problem, pool: pool) : nil
  }

  /// Packs `rhs` (k by n, f32 or bf16) once for many products under `mode`; with `matrixStrides`,
  /// in elements, a matrix for each index of those axes, the last moving fastest.
  package static func pack(
    _ rhs: MatrixView, k: Int, n: Int, matrixStrides: [(count: Int, stride: Int)] = [],
    mode: MathMode, pool: ThreadPool = .shared
  ) throws(MartletError) -> PackedMatrix {
    try native.pack(
      rhs, k: k, n: n, matrixStrides: matrixStrides, mode: mode, pool: pool)
  }

  /// Whether packing rhs would not make `problem` faster.
  package static func readsInPlace(_ problem: GEMMProblem) -> Bool { native.readsInPlace(problem) }

  /// Whether a packed rhs serves the backend in use; others than native pack for themselves.
  package static func readsPackedMatrices() throws(MartletError) -> Bool {
    try preferredBackend() == nil
  }

  /// Whether products of f32 under `mode` run in bf16 on this machine; if not though asked, why.
  package static func precision(for mode: MathMode) -> (usesBF16: Bool, reason: String) {
    KernelSet.current.precision(for: mode)
  }

  /// Asks for the backend `name` from now on.
  ///
  /// - Throws: `notFound` for an unknown name, `unsupported` where the backend's library is missing.
  package static func use(_ name: String) throws(MartletError) {
    let backend = try make(name)
    choice.withLock { $0 = .chosen(backend) }
    isNative.store(backend == nil, ordering: .releasing)
  }

  /// The name of the backend in use. Throws what its first use would: `unsupported`.
  package static func nameInUse() throws(MartletError) -> String {
    try preferredBackend()?.name ?? "native"
  }

  static let native = NativeBackend()

  private enum Choice {
    case unread
    /// nil: native.
    case chosen((any Backend)?)
  }

  private static let choice = Lock(Choice.unread)
  /// Spares the usual case the lock.
  private static let isNative = Atomic<Bool>(false)

  private static func make(_ name: String) throws(MartletError) -> (any Backend)? {
    switch name {
    case "native": return nil
    case "reference": return ReferenceBackend()
    case "openblas": return try OpenBLASBackend()
    default:
      throw MartletError(
        .notFound, "unknown backend '\(name)'; known: \(names.joined(separator: ", "))",
        expected: names.joined(separator: ", "), actual: name)
    }
  }

  static func preferredBackend() throws(MartletError) -> (any Backend)? {
    if isNative.load(ordering: .acquiring) { return nil }
    let current = choice.withLock { $0 }
    if case .chosen(let backend) = current { return backend }
    guard let name = getenv("MARTLET_BACKEND").map({ String(cString: $0) }), !name.isEmpty else {
      try use("native")
      return nil
    }
    do throws(MartletError) {
      try use(name)
    } catch {
      // A missing library was asked for explicitly: say so. A name nobody knows is ignored.
      if names.contains(name) { throw error }
      mp_warn("MARTLET_BACKEND=\(name) is ignored: \(error.message)")
      try use("native")
    }
    return choice.withLock { if case .chosen(let backend) = $0 { backend } else { nil } }
  }
}
