import MartletCore

extension ReferenceBackend: IntegerProvider {
  /// The integer sums of a product by their definition, row-major, wrapped to int32: exact.
  package func sums(_ problem: IntegerProblem) -> [Int32] {
    let p = problem
    var result: [Int32] = []
    result.reserveCapacity(p.m * p.n)
    for i in 0..<p.m {
      for j in 0..<p.n {
        var sum: Int64 = 0
        for q in 0..<p.k {
          let a = Int64(p.lhs.integer(i, q)) - Int64(p.lhsZero.value(i))
          sum &+= a &* (Int64(p.rhs.integer(q, j)) - Int64(p.rhsZero.value(j)))
        }
        result.append(Int32(truncatingIfNeeded: sum))
      }
    }
    return result
  }

  /// The sums of a convolution by their definition, in dst's layout.
  package func sums(_ problem: IntegerConvolution) -> [Int32] {
    let p = problem
    let groupIn = p.inChannels / p.groups
    let groupOut = p.outChannels / p.groups
    let src = MatrixView(p.src, p.srcType, rowStride: 0)
    let weights = MatrixView(p.weights, p.weightType, rowStride: 0)
    var result: [Int32] = []
    for n in 0..<p.batch {
      for oc in 0..<p.outChannels {
        for o in 0..<p.output.count {
          let (od, rest) = o.quotientAndRemainder(dividingBy: p.output.h * p.output.w)
          let (oh, ow) = rest.quotientAndRemainder(dividingBy: p.output.w)
          var sum: Int64 = 0
          for c in 0..<groupIn {
            for tap in 0..<p.kernel.count {
              let (kd, rest) = tap.quotientAndRemainder(dividingBy: p.kernel.h * p.kernel.w)
              let (kh, kw) = rest.quotientAndRemainder(dividingBy: p.kernel.w)
              let d = od * p.stride.d + kd * p.dilation.d - p.padding.d
              let h = oh * p.stride.h + kh * p.dilation.h - p.padding.h
              let w = ow * p.stride.w + kw * p.dilation.w - p.padding.w
              guard d >= 0, d < p.input.d, h >= 0, h < p.input.h, w >= 0, w < p.input.w else {
                continue
              }
              let channel = n * p.inChannels + oc / groupOut * groupIn + c
              let pixel = channel * p.input.count + (d * p.input.h + h) * p.input.w + w
              let weight = (oc * groupIn + c) * p.kernel.count + tap
              sum +=
                (Int64(src.integer(0, pixel)) - Int64(p.srcZero))
                * (Int64(weights.integer(0, weight)) - Int64(p.weightZero.value(oc)))
            }
          }
          result.append(Int32(truncatingIfNeeded: sum))
        }
      }
    }
    return result
  }
}

extension ReferenceBackend {
  package func supports(_ problem: IntegerProblem) -> Bool { problem.packedRHS == nil }

  package func multiply(
    _ problems: [IntegerProblem], pool: ThreadPool
  ) throws(MartletError) -> Execution {
    for problem in problems {
      try problem.validate()
      guard supports(problem) else {
        throw MartletError(.unsupported, "reference: packed operands")
      }
      for (index, sum) in sums(problem).enumerated() {
        let (i, j) = index.quotientAndRemainder(dividingBy: problem.n)
        problem.epilogue.store(
          sum, row: i, column: j, problem.dst.pointer, problem.dst.dtype,
          at: i * problem.dst.rowStride + j)
      }
    }
    return Execution(backend: name, kernel: "loops", precision: "int8")
  }

  package func convolve(
    _ problem: IntegerConvolution, pool: ThreadPool
  ) throws(MartletError) -> Execution {
    try problem.validate()
    let pixels = problem.output.count
    for (index, sum) in sums(problem).enumerated() {
      problem.epilogue.store(
        sum, row: index / pixels % problem.outChannels, column: index % pixels, problem.dst,
        problem.dstType, at: index)
    }
    return Execution(backend: name, kernel: "loops", precision: "int8")
  }
}

extension IntegerEpilogue {
  /// What becomes of one sum, as element `index` of `dst`.
  fileprivate func store(
    _ sum: Int32, row: Int, column: Int, _ dst: UnsafeMutableRawPointer, _ dtype: DType,
    at index: Int
  ) {
    let value = sum &+ (rowBias?[row] ?? 0) &+ (columnBias?[column] ?? 0)
    var factor = scale
    if let rowScale { factor *= rowScale[row] }
    if let columnScale { factor *= columnScale[column] }
    var scaled = Float(value) * factor
    func saturated(_ range: ClosedRange<Float>) -> Float {
      let rounded = scaled.rounded(.toNearestOrEven) + Float(zero)
      return rounded >= range.lowerBound ? min(rounded, range.upperBound) : range.lowerBound
    }
    switch dtype {
    case .int32: dst.assumingMemoryBound(to: Int32.self)[index] = value
    case .float32:
      if let rowAddend { scaled += rowAddend[row] }
      if let columnAddend { scaled += columnAddend[column] }
      dst.assumingMemoryBound(to: Float.self)[index] = scaled
    case .int8: dst.assumingMemoryBound(to: Int8.self)[index] = Int8(saturated(-128...127))
    default: dst.assumingMemoryBound(to: UInt8.self)[index] = UInt8(saturated(0...255))
    }
  }
}

extension ZeroPoints {
  package func value(_ index: Int) -> Int32 {
    switch self {
    case .one(let value): value
    case .each(let values): values[index]
    }
  }
}

extension MatrixView {
  fileprivate func integer(_ i: Int, _ j: Int) -> Int32 {
    let index = i * rowStride + j * columnStride
    return dtype == .int8
      ? Int32(pointer.assumingMemoryBound(to: Int8.self)[index])
      : Int32(pointer.assumingMemoryBound(to: UInt8.self)[index])
  }
}
