/// The row functions on float64, which has no kernels.
enum Float64Rows {
  static func softmax(
    _ n: Int, _ src: UnsafePointer<Double>, _ dst: UnsafeMutablePointer<Double>, _ isLogarithm: Bool
  ) {
    var top = -Double.infinity
    for i in 0..<n { top = Double.greatest(top, src[i]) }
    var sum = Double.zero
    if isLogarithm {
      for i in 0..<n { sum += Double.exp(src[i] - top) }
      let logarithm = Double.log(sum)
      for i in 0..<n { dst[i] = src[i] - top - logarithm }
    } else {
      for i in 0..<n {
        dst[i] = Double.exp(src[i] - top)
        sum += dst[i]
      }
      for i in 0..<n { dst[i] = dst[i] / sum }
    }
  }

  static func layerNorm(
    _ n: Int, _ src: UnsafePointer<Double>, _ scale: UnsafePointer<Double>?,
    _ bias: UnsafePointer<Double>?, _ epsilon: Float, _ dst: UnsafeMutablePointer<Double>,
    _ meanOut: UnsafeMutablePointer<Float>?, _ inverseOut: UnsafeMutablePointer<Float>?
  ) {
    var sum = Double.zero
    for i in 0..<n { sum += src[i] }
    let mean = sum / Double(n)
    var squares = Double.zero
    for i in 0..<n { squares += (src[i] - mean) * (src[i] - mean) }
    let inverse = 1 / (squares / Double(n) + Double(epsilon)).squareRoot()
    for i in 0..<n {
      let normal = (src[i] - mean) * inverse
      dst[i] = normal * (scale?[i] ?? 1) + (bias?[i] ?? 0)
    }
    meanOut?.pointee = Float(mean)
    inverseOut?.pointee = Float(inverse)
  }

  static func rmsNorm(
    _ n: Int, _ src: UnsafePointer<Double>, _ scale: UnsafePointer<Double>?, _ epsilon: Float,
    _ dst: UnsafeMutablePointer<Double>
  ) {
    var squares = Double.zero
    for i in 0..<n { squares += src[i] * src[i] }
    let inverse = 1 / (squares / Double(n) + Double(epsilon)).squareRoot()
    for i in 0..<n { dst[i] = src[i] * inverse * (scale?[i] ?? 1) }
  }
}
