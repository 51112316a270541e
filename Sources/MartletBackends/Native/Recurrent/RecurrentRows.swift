import MartletCore
import MartletKernels

/// What cells do with contiguous elements, in one type. `dst` may be an operand.
protocol RecurrentRows {
  associatedtype Scalar: RealElement

  func add(
    _ n: Int, _ x: UnsafePointer<Scalar>, _ y: UnsafePointer<Scalar>,
    _ dst: UnsafeMutablePointer<Scalar>)
  func multiply(
    _ n: Int, _ x: UnsafePointer<Scalar>, _ y: UnsafePointer<Scalar>,
    _ dst: UnsafeMutablePointer<Scalar>)
  /// dst = 1 - x.
  func complement(_ n: Int, _ x: UnsafePointer<Scalar>, _ dst: UnsafeMutablePointer<Scalar>)
  /// Clamps in place, where the layer clips.
  func clip(_ n: Int, _ values: UnsafeMutablePointer<Scalar>)
  /// The cell's function of this index, in place.
  func activate(_ index: Int, _ n: Int, _ values: UnsafeMutablePointer<Scalar>)
  /// All of an LSTM's row without peepholes and coupled gates; false: it is left to the others.
  func lstm(_ n: Int, _ row: RecurrentRow<Scalar>) -> Bool
}

extension RecurrentRows {
  func lstm(_ n: Int, _ row: RecurrentRow<Scalar>) -> Bool { false }
}

/// float32 through the vector functions.
struct FloatRows: RecurrentRows {
  private let sum: mk_binary_fn
  private let product: mk_binary_fn
  private let affine: mk_unary_fn
  private let clamp: FloatUnary?
  private let activations: [[FloatUnary]]
  /// The kernel of a row, of the usual functions and without clipping.
  private let lstm: (@convention(c) (UnsafePointer<mk_lstm_row>?) -> Void)?

  init(_ problem: RecurrentProblem) {
    let kernels = VectorKernels.chosen
    let isUsual = problem.clip == nil && problem.activations == [[.sigmoid], [.tanh], [.tanh]]
    lstm = isUsual ? kernels.table.lstm_row : nil
    sum = kernels.binary[Int(MK_BINARY_ADD)]
    product = kernels.binary[Int(MK_BINARY_MUL)]
    affine = kernels.unary[Int(MK_UNARY_AFFINE)]
    clamp = problem.clip.map { FloatUnary(.clamp(-$0, $0)) }
    activations = problem.activations.map { $0.map(FloatUnary.init) }
  }

  func add(
    _ n: Int, _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>,
    _ dst: UnsafeMutablePointer<Float>
  ) { sum(Int64(n), x, 1, y, 1, dst) }

  func multiply(
    _ n: Int, _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>,
    _ dst: UnsafeMutablePointer<Float>
  ) { product(Int64(n), x, 1, y, 1, dst) }

  func complement(_ n: Int, _ x: UnsafePointer<Float>, _ dst: UnsafeMutablePointer<Float>) {
    affine(Int64(n), x, dst, -1, 1)
  }

  func clip(_ n: Int, _ values: UnsafeMutablePointer<Float>) { clamp?.run(n, values, values) }

  func activate(_ index: Int, _ n: Int, _ values: UnsafeMutablePointer<Float>) {
    for function in activations[index] { function.run(n, values, values) }
  }

  func lstm(_ n: Int, _ row: RecurrentRow<Float>) -> Bool {
    guard let lstm, let cells = row.cells else { return false }
    var job = mk_lstm_row()
    job.n = Int64(n)
    job.x = row.x
    job.sums = UnsafePointer(row.sums)
    job.cells = cells
    job.hidden = row.hidden
    job.output = row.output
    lstm(&job)
    return true
  }
}

/// float64 in plain loops and the C library.
struct DoubleRows: RecurrentRows {
  private let clamp: UnaryFunction?
  private let activations: [[UnaryFunction]]

  init(_ problem: RecurrentProblem) {
    clamp = problem.clip.map { .clamp(-$0, $0) }
    activations = problem.activations
  }

  func add(
    _ n: Int, _ x: UnsafePointer<Double>, _ y: UnsafePointer<Double>,
    _ dst: UnsafeMutablePointer<Double>
  ) { for i in 0..<n { dst[i] = x[i] + y[i] } }

  func multiply(
    _ n: Int, _ x: UnsafePointer<Double>, _ y: UnsafePointer<Double>,
    _ dst: UnsafeMutablePointer<Double>
  ) { for i in 0..<n { dst[i] = x[i] * y[i] } }

  func complement(_ n: Int, _ x: UnsafePointer<Double>, _ dst: UnsafeMutablePointer<Double>) {
    for i in 0..<n { dst[i] = 1 - x[i] }
  }

  func clip(_ n: Int, _ values: UnsafeMutablePointer<Double>) {
    if let clamp { RealUnary.run(clamp, n, values, values) }
  }

  func activate(_ index: Int, _ n: Int, _ values: UnsafeMutablePointer<Double>) {
    for function in activations[index] { RealUnary.run(function, n, values, values) }
  }
}
