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
            var moved = Moved(point, Solve(Damped(normal, damping), gradient));
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
        return new(point, Inverse(Normal(residuals, point, now).Matrix));
    }

    private static (double[] Residuals, double Cost) Cost(double[] residuals) => (residuals, residuals.Sum(each => each * each));

    private static double[] Moved(double[] point, double[] by) => [.. point.Zip(by, (at, step) => at + step)];

    /// <summary>JᵀJ and -Jᵀr.</summary>
    private static (double[,] Matrix, double[] Gradient) Normal(Func<double[], double[]> residuals, double[] point, double[] now)
    {
        var columns = new double[point.Length][];
        for (var p = 0; p < point.Length; p++)
        {
            var moved = (double[])point.Clone();
            moved[p] += Step;
            columns[p] = [.. residuals(moved).Zip(now, (there, here) => (there - here) / Step)];
        }
        var matrix = new double[point.Length, point.Length];
        for (var i = 0; i < point.Length; i++)
        {
            for (var j = 0; j <= i; j++)
                matrix[i, j] = matrix[j, i] = Dot(columns[i], columns[j]);
        }
        return (matrix, [.. columns.Select(column => -Dot(column, now))]);
    }

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private static double[,] Damped(double[,] matrix, double damping)
    {
        var damped = (double[,])matrix.Clone();
        for (var i = 0; i < damped.GetLength(0); i++)
            damped[i, i] *= 1 + damping;
        return damped;
    }

    private static double[,] Inverse(double[,] matrix)
    {
        var size = matrix.GetLength(0);
        var inverse = new double[size, size];
        for (var column = 0; column < size; column++)
        {
            var unit = new double[size];
            unit[column] = 1;
            foreach (var (row, value) in Solve(matrix, unit).Index())
                inverse[row, column] = value;
        }
        return inverse;
    }

    /// <summary>By Cholesky's factors of a symmetric positive definite matrix.</summary>
    private static double[] Solve(double[,] matrix, double[] right)
    {
        var size = right.Length;
        var lower = new double[size, size];
        for (var i = 0; i < size; i++)
        {
            for (var j = 0; j <= i; j++)
            {
                var rest = matrix[i, j];
                for (var k = 0; k < j; k++)
                    rest -= lower[i, k] * lower[j, k];
                lower[i, j] = i == j ? Math.Sqrt(Math.Max(rest, double.Epsilon)) : rest / lower[j, j];
            }
        }
        var solution = (double[])right.Clone();
        for (var i = 0; i < size; i++)
        {
            for (var k = 0; k < i; k++)
                solution[i] -= lower[i, k] * solution[k];
            solution[i] /= lower[i, i];
        }
        for (var i = size - 1; i >= 0; i--)
        {
            for (var k = i + 1; k < size; k++)
                solution[i] -= lower[k, i] * solution[k];
            solution[i] /= lower[i, i];
        }
        return solution;
    }
}
