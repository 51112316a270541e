/// Functions of float64 from additions, products, quotients and square roots alone, so that their bits
/// are the same on every processor and with every C library. Within a few units in the last place.
enum ExactFunctions {
  /// The natural logarithm of a positive normal number.
  static func log(_ x: Double) -> Double {
    var exponent = Double(x.exponent)
    var m = x.significand
    if m > 1.414_213_562_373_095_1 {
      m /= 2
      exponent += 1
    }
    // log(m) = 2 atanh(s); |s| < 0.172, so the term left out is below 2^-59.
    let s = (m - 1) / (m + 1)
    let square = s * s
    var sum = 0.0
    for n in Swift.stride(from: 23, through: 1, by: -2) { sum = sum * square + 1 / Double(n) }
    return exponent * 0.693_147_180_559_945_3 + 2 * s * sum
  }

  /// e to the power of a number that is not positive; 0 below -700.
  static func exp(_ x: Double) -> Double {
    guard x > -700 else { return 0 }
    let n = (x * 1.442_695_040_888_963_4).rounded()
    // ln 2 in two parts, the first short enough for its product to be exact.
    let r = (x - n * 0.693_147_180_369_123_8) - n * 1.908_214_929_270_587_7e-10
    var sum = 1.0
    for k in Swift.stride(from: 15, through: 1, by: -1) { sum = 1 + sum * r / Double(k) }
    return sum * Double(sign: .plus, exponent: Int(n), significand: 1)
  }

  /// The value that a standard normal number is below with probability `p`, in (0, 1).
  ///
  /// Source: Wichura, Algorithm AS 241 (1988), PPND16: about one part in 10^16.
  static func normalQuantile(_ p: Double) -> Double {
    let q = p - 0.5
    if q.magnitude <= 0.425 {
      let r = 0.180625 - q * q
      return q * polynomial(centre.over, r) / polynomial(centre.under, r)
    }
    let r = (-log(q <= 0 ? p : 1 - p)).squareRoot()
    let part = r <= 5 ? tail : farTail
    let distance = r <= 5 ? r - 1.6 : r - 5
    let value = polynomial(part.over, distance) / polynomial(part.under, distance)
    return q < 0 ? -value : value
  }

  /// By descending powers.
  private static func polynomial(_ coefficients: [Double], _ x: Double) -> Double {
    var sum = 0.0
    for coefficient in coefficients { sum = sum * x + coefficient }
    return sum
  }

  private static let centre: (over: [Double], under: [Double]) = (
    [
      2.50908092873012267270e+3, 3.34305755835881281050e+4, 6.72657709270087008530e+4,
      4.59219539315498714570e+4, 1.37316937655094611250e+4, 1.97159095030655144270e+3,
      1.33141667891784377450e+2, 3.38713287279636660800e+0,
    ],
    [
      5.22649527885285456100e+3, 2.87290857357219426740e+4, 3.93078958000927106100e+4,
      2.12137943015865958670e+4, 5.39419602142475110770e+3, 6.87187007492057908300e+2,
      4.23133307016009112520e+1, 1,
    ]
  )
  private static let tail: (over: [Double], under: [Double]) = (
    [
      7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
      1.27045825245236838258e+0, 3.64784832476320460504e+0, 5.76949722146069140550e+0,
      4.63033784615654529590e+0, 1.42343711074968357734e+0,
    ],
    [
      1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
      1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e+0,
      2.05319162663775882187e+0, 1,
    ]
  )
  private static let farTail: (over: [Double], under: [Double]) = (
    [
      2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
      2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e+0,
      5.46378491116411436990e+0, 6.65790464350110377720e+0,
    ],
    [
      2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
      7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
      5.99832206555887937690e-1, 1,
    ]
  )
}
