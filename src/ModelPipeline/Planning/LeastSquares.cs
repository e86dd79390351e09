using MathNet.Numerics.LinearAlgebra;

namespace ModelPipeline.Planning;

/// <summary>Where the sum of squared residuals is least, and how surely it is there.</summary>
/// <param name="Point">The parameters.</param>
/// <param name="Covariance">Inverse of JᵀJ: the parameters' covariance if residuals have variance 1.</param>
internal sealed record LeastSquaresFit(double[] Point, double[,] Covariance);

/// <summary>Levenberg's and Marquardt's method with forward differences (Nocedal and Wright, Numerical Optimization, 2nd ed., section
/// 10.3), for a few dozen parameters.</summary>
internal static class LeastSquares
{
    private const double Step = 1e-6;
    private const double LargestDamping = 1e12;
    private const double Converged = 1e-10;
    private const int MostSteps = 200;

    /// <param name="residuals">At a point; always as many, and one a parameter at least so that JᵀJ has an inverse.</param>
    /// <param name="start">Where to begin; left as it is.</param>
    public static LeastSquaresFit Minimize(Func<double[], double[]> residuals, double[] start)
    {
        var (point, damping) = ((double[])start.Clone(), 1e-3);
        var (now, cost) = Cost(residuals(point));
        for (var step = 0; step < MostSteps && damping < LargestDamping; step++)
        {
            var (normal, gradient) = Normal(residuals, point, now);
            double[] moved = [.. point.Zip(Damped(normal, damping).Cholesky().Solve(gradient), (at, by) => at + by)];
            var (next, reached) = Cost(residuals(moved));
            if (reached >= cost)
            {
                damping *= 10;
                continue;
            }
            var gain = cost - reached;
            (point, now, cost, damping) = (moved, next, reached, damping / 10);
            if (gain < Converged * (1 + cost))
                break;
        }
        var precision = Normal(residuals, point, now).Matrix;
        return new(point, precision.Cholesky().Solve(Matrix<double>.Build.DenseIdentity(point.Length)).ToArray());
    }

    private static (double[] Residuals, double Cost) Cost(double[] residuals) => (residuals, residuals.Sum(each => each * each));

    /// <summary>JᵀJ and -Jᵀr.</summary>
    private static (Matrix<double> Matrix, Vector<double> Gradient) Normal(Func<double[], double[]> residuals, double[] point, double[] now)
    {
        var jacobian = Matrix<double>.Build.DenseOfColumns(
            point.Select(
                (_, p) =>
                {
                    var moved = (double[])point.Clone();
                    moved[p] += Step;
                    return residuals(moved).Zip(now, (there, here) => (there - here) / Step);
                }
            )
        );
        return (jacobian.TransposeThisAndMultiply(jacobian), -jacobian.TransposeThisAndMultiply(Vector<double>.Build.Dense(now)));
    }

    private static Matrix<double> Damped(Matrix<double> matrix, double damping) =>
        matrix.MapIndexed((row, column, value) => row == column ? value * (1 + damping) : value);
}
